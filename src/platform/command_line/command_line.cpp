#include "platform/command_line/command_line.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <boost/program_options.hpp>
#include <filesystem>
#include <iostream>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

namespace po = boost::program_options;

struct CommandLine::Descriptions {
  po::options_description options;
  po::variables_map values;
};

CommandLine::CommandLine(std::string program, std::string summary)
    : program_(std::move(program)),
      summary_(std::move(summary)),
      descriptions_(std::make_unique<Descriptions>(Descriptions{po::options_description("Options", 80, 50), {}})) {
  add_flag("quiet", &quiet_, "print results only, no progress and no hints");
}

CommandLine::~CommandLine() = default;
CommandLine::CommandLine(CommandLine&&) noexcept = default;

namespace {

std::string with_default(const std::string& help, const std::string& value) {
  return value.empty() ? help : help + " (default: " + value + ")";
}

}  // namespace

void CommandLine::add(const std::string& name, std::string* target, const std::string& value_name,
                      const std::string& help) {
  names_.push_back(name);
  descriptions_->options.add_options()(name.c_str(), po::value<std::string>()->value_name(value_name),
                                       with_default(help, *target).c_str());
  assignments_.push_back([this, name, target] {
    if (descriptions_->values.count(name) > 0) *target = descriptions_->values[name].as<std::string>();
  });
}

void CommandLine::add(const std::string& name, double* target, const std::string& value_name, const std::string& help) {
  names_.push_back(name);
  descriptions_->options.add_options()(name.c_str(), po::value<std::string>()->value_name(value_name),
                                       with_default(help, fmt::format("{:g}", *target)).c_str());
  assignments_.push_back([this, name, target] {
    if (descriptions_->values.count(name) > 0)
      *target = parse_number(descriptions_->values[name].as<std::string>(), program_ + ": --" + name);
  });
}

void CommandLine::add(const std::string& name, std::size_t* target, const std::string& value_name,
                      const std::string& help) {
  names_.push_back(name);
  descriptions_->options.add_options()(name.c_str(), po::value<std::string>()->value_name(value_name),
                                       with_default(help, fmt::format("{}", *target)).c_str());
  assignments_.push_back([this, name, target] {
    if (descriptions_->values.count(name) == 0) return;
    const std::string word = descriptions_->values[name].as<std::string>();
    const std::int64_t value = parse_integer(word, program_ + ": --" + name);
    if (value < 0) throw UsageError(program_ + ": --" + name + ": " + word + " is below 0");
    *target = static_cast<std::size_t>(value);
  });
}

void CommandLine::add(const std::string& name, std::vector<std::string>* target, const std::string& value_name,
                      const std::string& help) {
  names_.push_back(name);
  descriptions_->options.add_options()(name.c_str(),
                                       po::value<std::vector<std::string>>()->composing()->value_name(value_name),
                                       (help + " (may be repeated)").c_str());
  assignments_.push_back([this, name, target] {
    if (descriptions_->values.count(name) > 0) *target = descriptions_->values[name].as<std::vector<std::string>>();
  });
}

void CommandLine::add_flag(const std::string& name, bool* target, const std::string& help) {
  names_.push_back(name);
  descriptions_->options.add_options()(name.c_str(), po::bool_switch(target), help.c_str());
}

void CommandLine::add_positional(std::string* target, const std::string& value_name) {
  positional_ = target;
  positional_name_ = value_name;
}

void CommandLine::add_example(const std::string& command) {
  examples_.push_back(command);
}

void print_example(std::string_view command) {
  std::string indent = "  ";
  while (indent.size() + command.size() > 80) {
    const std::size_t end = command.rfind(" --", 78 - indent.size());
    if (end == std::string_view::npos) break;
    std::cout << indent << command.substr(0, end) << " \\\n";
    command.remove_prefix(end + 1);
    indent = "      ";
  }
  std::cout << indent << command << "\n";
}

void CommandLine::print_help() const {
  std::cout << wrap(program_ + (positional_ == nullptr ? "" : " " + positional_name_) + ": " + summary_) << "\n\n"
            << descriptions_->options;
  std::vector<std::string> codes;
  for (const auto& [code, meaning] : exit_codes_) codes.push_back(std::to_string(code) + " " + meaning);
  std::cout << "\n" << wrap("Exit codes: " + join(codes)) << "\n";
  if (!examples_.empty()) std::cout << "\nExamples:\n";
  for (const std::string& example : examples_) print_example(example);
}

void CommandLine::take_positional(const std::string& word) {
  if (positional_ == nullptr || !positional_->empty())
    throw UsageError(program_ + ": '" + word + "' belongs to no option; see " + program_ + " --help");
  *positional_ = word;
}

bool CommandLine::parse(const std::vector<std::string>& arguments) {
  descriptions_->options.add_options()("help", "show this help")("version", "show the version");
  try {
    const std::vector<std::string> words(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
    // No guessing of shortened names: a script that relies on one breaks when a longer name is added.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    const po::parsed_options parsed = po::command_line_parser(words).options(descriptions_->options).style(style).run();
    for (const po::option& option : parsed.options)
      if (option.string_key.empty()) take_positional(join(option.value));
    po::store(parsed, descriptions_->values);
    po::notify(descriptions_->values);
  } catch (const po::unknown_option& error) {
    std::string word = error.get_option_name();
    word.erase(0, word.find_first_not_of('-'));
    std::vector<std::string> near = near_words(word, names_);
    for (std::string& name : near) name = "--" + name;
    throw UsageError(program_ + ": unknown option --" + word + "; " +
                     (near.empty() ? "see " : "did you mean " + join(near, " or ") + "? See ") + program_ + " --help");
  } catch (const po::error& error) {
    throw UsageError(program_ + ": " + error.what() + "; see " + program_ + " --help");
  }
  if (descriptions_->values.count("help") > 0) {
    print_help();
    return false;
  }
  if (descriptions_->values.count("version") > 0) {
    std::cout << "GEM " << software_version() << "\n";
    return false;
  }
  for (const auto& assign : assignments_) assign();
  return true;
}

void require_option(const std::string& value, const std::string& name, const std::string& why) {
  if (value.empty()) throw UsageError("--" + name + " is missing: " + why);
}

std::string software_version() {
  return GEM_VERSION;
}

std::string command_line_text(const std::vector<std::string>& arguments) {
  std::string text;
  for (const std::string& argument : arguments) {
    const bool plain = !argument.empty() && argument.find_first_of(" '\"\\$*?;&|<>()") == std::string::npos;
    text += (text.empty() ? "" : " ") + (plain ? argument : "'" + argument + "'");
  }
  return text;
}

std::string program_beside(const std::vector<std::string>& arguments, const std::string& name) {
  return (std::filesystem::path(arguments.at(0)).parent_path() / name).string();
}

std::string drawing_hint(const std::vector<std::string>& arguments, const std::vector<std::string>& files) {
  const auto folder_of = [](const std::string& path) { return std::filesystem::path(path).parent_path().string(); };
  std::vector<std::string> command{program_beside(arguments, "gem-analysis"), "report"};
  for (const std::string& file : files)
    if (!file.empty()) command.push_back(file);
  const std::string folder = folder_of(command.back());
  const bool together = std::all_of(command.begin() + 2, command.end(),
                                    [&](const std::string& file) { return folder_of(file) == folder; });
  if (together && !folder.empty() && command.size() >= 5) {
    command.resize(2);
    command.push_back(folder);
  }
  return "Draw it: " + command_line_text(command) + "\n";
}

}  // namespace gem

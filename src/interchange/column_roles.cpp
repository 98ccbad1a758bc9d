// Names that columns of tables and members of records usually have. One table for CSV, JSON, NPZ and .pt files alike.
#include "interchange/column_roles.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

struct RoleNames {
  Role role;
  std::string word;                ///< of --columns and of messages
  std::vector<std::string> names;  ///< words of a name written together, the plainest first
};

/// What tables call their columns, without words that say nothing of the role (`bare`).
const std::vector<RoleNames>& table() {
  const auto role = [](Role of, const char* word, const char* names) { return RoleNames{of, word, split(names, ' ')}; };
  static const std::vector<RoleNames> roles = {
      role(Role::Count, "count",
           "count counts tokens numtokens tokencount numtoken tokennum tokencounts counttokens ntokens ntoken "
           "totaltokens tokenstotal routedtokens tokensrouted assignedtokens numassigned numrouted expertcount "
           "expertcounts tokensperexpert experttokens experttokencount load loads expertload hits hit hitcount numhits "
           "activations activation activationcount numactivations logicalcount logicalcounts selections selectioncount "
           "numselections selected assignments assignmentcount occurrences frequency freq popularity usage usagecount "
           "calls numcalls cnt routed assigned num n value values total amount sum fraction share ratio probability "
           "percent"),
      role(Role::Step, "step",
           "step steps iteration iter forwardpass forward pass batch fwdpass fwd tick timestep round window interval "
           "snapshot frame cycle epoch sample timestamp time datetime ts date t"),
      role(Role::Layer, "layer", "layer block layername l"),
      role(Role::Expert, "expert", "expert logicalexpert routedexpert e"),
      role(Role::Rank, "rank",
           "rank eprank dprank tprank pprank worldrank globalrank localrank device gpu worker node host hostname "
           "process proc pid instance server"),
      role(Role::Model, "model", "model modelname isdraft draft draftmodel ismtp mtp speculative"),
      role(Role::Slot, "slot", "slot physicalexpert physical physicalslot expertslot physicalid"),
      role(Role::LocalExpert, "local_expert", "localexpert expertlocal"),
  };
  return roles;
}

/// Words of a name that don't say what a column holds.
constexpr std::string_view bare[] = {"id",      "idx",       "index", "indices", "no",    "nr",      "num", "number",
                                     "key",     "the",       "moe",   "decoder", "model", "global",  "cur", "current",
                                     "engine",  "scheduler", "s",     "ms",      "us",    "ns",      "sec", "secs",
                                     "seconds", "unix",      "utc",   "iso",     "name",  "logical", "of",  "ids"};

/// Words of names that say how many, not which.
constexpr std::string_view measures[] = {"per", "is",  "has",   "n",    "num", "total",
                                         "max", "min", "first", "last", "mean"};

template <class Words>
bool is_among(const Words& words, std::string_view word) {
  return std::ranges::find(words, word) != std::end(words);
}

bool is_bare(const std::string& word) {
  return is_among(bare, word);
}

std::string together(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word;
  return text;
}

bool is_number(const std::string& word) {
  return !word.empty() && std::isdigit(static_cast<unsigned char>(word[0])) != 0;
}

NamedRole find_name(const std::string& name) {
  for (const RoleNames& role : table())
    if (const auto found = std::ranges::find(role.names, name); found != role.names.end())
      return {role.role, static_cast<std::size_t>(found - role.names.begin())};
  return {};
}

/// "decode_step" is a step: the last word says what the others tell apart.
NamedRole role_of_last_word(const std::vector<std::string>& words) {
  if (std::ranges::any_of(words, [](const std::string& word) { return is_among(measures, word); })) return {};
  NamedRole found = find_name(words.back());
  if (words.back().size() < 4) return {};
  if (found.role == Role::Expert && is_among(words, "local")) found.role = Role::LocalExpert;
  if (found.role == Role::Expert && (is_among(words, "physical") || is_among(words, "slot"))) found.role = Role::Slot;
  found.order += 100;
  return found;
}

/// The role that one word has beside a number; `alone` says that there are no other words.
Role role_of_word(const std::string& word, bool alone) {
  if (word.size() == 1 && !alone) return Role::None;  // "p2l"
  if (word == "ep" || word == "dp" || word == "tp" || word == "pp") return Role::Rank;
  if (word == "layers" || word == "blocks") return Role::Layer;
  if (word == "experts") return Role::Expert;
  if (word == "slots") return Role::Slot;
  const NamedRole found = find_name(word);
  return found.role == Role::Count ? Role::None : found.role;
}

}  // namespace

std::string role_name(Role role) {
  for (const RoleNames& known : table())
    if (known.role == role) return known.word;
  return "nothing known";
}

std::vector<std::string> words_of_name(std::string_view name) {
  std::vector<std::string> words;
  enum class Kind { Other, Digit, Lower, Upper } before = Kind::Other;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto letter = static_cast<unsigned char>(name[i]);
    const Kind kind = std::isdigit(letter) != 0                   ? Kind::Digit
                      : std::isupper(letter) != 0                 ? Kind::Upper
                      : std::islower(letter) != 0 || letter > 127 ? Kind::Lower
                                                                  : Kind::Other;
    if (kind != Kind::Other) {
      const bool next_is_lower = i + 1 < name.size() && std::islower(static_cast<unsigned char>(name[i + 1])) != 0;
      const bool begins = before == Kind::Other || (kind == Kind::Digit) != (before == Kind::Digit) ||
                          (kind == Kind::Upper && (before == Kind::Lower || (next_is_lower && before == Kind::Upper)));
      if (begins) words.emplace_back();
      words.back() += static_cast<char>(std::tolower(letter));
    }
    before = kind;
  }
  return words;
}

NamedRole role_of_name(std::string_view name) {
  const std::vector<std::string> words = words_of_name(name);
  if (const NamedRole whole = find_name(together(words)); whole.role != Role::None) return whole;
  if (!words.empty() && is_among(measures, words.front())) return {};
  std::vector<std::string> telling = words;
  std::erase_if(telling, is_bare);
  const std::string core = together(telling);
  NamedRole found = find_name(core);
  if (found.role == Role::None)  // "layerid", written together
    for (const std::string_view ending : {"id", "idx", "index", "num", "number", "name"})
      if (core.ends_with(ending) && found.role == Role::None)
        found = find_name(core.substr(0, core.size() - ending.size()));
  if (found.role == Role::None && telling.size() > 1) found = role_of_last_word(telling);
  // "token_id" numbers tokens, and doesn't count them.
  if (found.role == Role::Count || found.role == Role::Model) return {};
  found.order += table().size();
  return found;
}

Role role_of_plural(std::string_view name) {
  std::vector<std::string> words = words_of_name(name);
  std::erase_if(words, is_bare);
  const std::string core = together(words);
  static const std::array<std::pair<std::string_view, Role>, 21> plurals = {
      {{"layers", Role::Layer},       {"layer", Role::Layer},     {"bylayer", Role::Layer}, {"perlayer", Role::Layer},
       {"blocks", Role::Layer},       {"steps", Role::Step},      {"step", Role::Step},     {"bystep", Role::Step},
       {"perstep", Role::Step},       {"iterations", Role::Step}, {"iters", Role::Step},    {"passes", Role::Step},
       {"forwardpasses", Role::Step}, {"batches", Role::Step},    {"windows", Role::Step},  {"timesteps", Role::Step},
       {"experts", Role::Expert},     {"ranks", Role::Rank},      {"devices", Role::Rank},  {"workers", Role::Rank},
       {"gpus", Role::Rank}}};
  for (const auto& [plural, role] : plurals)
    if (core == plural) return role;
  return Role::None;
}

std::vector<NumberedName> numbers_in_name(std::string_view name) {
  const std::vector<std::string> words = words_of_name(name);
  std::vector<NumberedName> named;
  Role before = Role::None;
  std::size_t numbers = 0;
  const bool alone = words.size() == 2;
  for (std::size_t i = 0; i + 1 < name.size(); ++i)  // "-1" is no name's number, but "layer-1" is
    if (name[i] == '-' && is_number(std::string(1, name[i + 1])) &&
        (i == 0 || std::isalnum(static_cast<unsigned char>(name[i - 1])) == 0))
      return {};
  for (const std::string& word : words) {
    if (!is_number(word)) {
      if (const Role role = role_of_word(word, alone); role != Role::None) before = role;
      continue;
    }
    ++numbers;
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
    if (error != std::errc{}) return {};
    const bool again = std::ranges::find(named, before, &NumberedName::role) != named.end();
    if (before != Role::None && !again) named.push_back({before, number});
    if (numbers == 1 && words.size() == 1) named = {{Role::None, number}};
    before = Role::None;
  }
  if (alone && named.empty() && numbers == 1 && is_number(words[0]))  // "3_layer"
    if (const Role role = role_of_word(words[1], alone); role != Role::None) return {{role, std::stoll(words[0])}};
  return named;
}

std::optional<Role> ColumnChoice::role_of(std::string_view name) const {
  for (const auto& [role, column] : names)
    if (column == name) return role;
  return std::nullopt;
}

bool ColumnChoice::ignores(std::string_view name) const {
  return std::ranges::find(ignored, name) != ignored.end();
}

ColumnChoice parse_columns(const std::string& text, const std::string& what) {
  ColumnChoice choice;
  if (trim(text) == "none") {
    choice.no_header = true;
    return choice;
  }
  for (const std::string& part : split(text, ',')) {
    const std::size_t sign = part.find('=');
    const std::string word = to_lower(trim(part.substr(0, sign)));
    const std::string name = sign == std::string::npos ? "" : trim(part.substr(sign + 1));
    const auto known = std::ranges::find_if(table(), [&](const RoleNames& role) { return role.word == word; });
    const bool good =
        !name.empty() &&
        (word == "ignore" || (known != table().end() && known->role != Role::Slot && known->role != Role::LocalExpert));
    if (!good || (word != "ignore" && choice.names.contains(known->role)))
      throw UsageError(what + " '" + text +
                       "' must say what columns hold, as step=tick,layer=block,expert=e,count=n,rank=gpu,ignore=note "
                       "(each but ignore once), or none");
    if (word == "ignore")
      choice.ignored.push_back(name);
    else
      choice.names[known->role] = name;
  }
  return choice;
}

std::optional<std::int64_t> whole_number_in(std::string_view text) {
  std::string digits = trim(text);
  if (digits.size() > 1 && digits.front() == '"' && digits.back() == '"') digits = digits.substr(1, digits.size() - 2);
  try {
    const double number = parse_number(digits, "");
    if (number == std::floor(number) && std::fabs(number) <= 9007199254740992.0)
      return static_cast<std::int64_t>(number);
  } catch (const UsageError&) {
    // Another text.
  }
  return std::nullopt;
}

}  // namespace gem

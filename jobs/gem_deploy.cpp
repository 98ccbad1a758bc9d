// gem-deploy: takes a mapping to the engines that serve the model.
#include "deploy_commands.hpp"
#include "platform/command_line/commands.hpp"

namespace {

int run(const gem::Arguments& arguments) {
  return gem::run_command(
      arguments, "gem-deploy", "takes a mapping to the engines that serve the model.",
      {
          {"export", "the mapping as the file that a serving engine starts with", gem::run_export},
          {"moves", "the moves from the running placement to the mapping, for engines", gem::run_moves},
          {"import", "a map of experts that an engine uses, as a mapping", gem::run_map_import},
          {"permute", "a checkpoint whose linear placement is the mapping, for any engine", gem::run_permute},
          {"profile", "a profile as the text that the policy inside an engine reads", gem::run_profile_export},
          {"check", "whether an engine's ranks get the GPUs that the mapping was made for", gem::run_check},
      },
      {"gem-deploy export --mapping mapping.h5 --engine sglang --output location.json",
       "gem-deploy permute --mapping mapping.h5 --checkpoint MODEL --output MODEL-gem"});
}

}  // namespace

int main(int argc, char** argv) {
  return gem::run_serial_program(argc, argv, run);
}

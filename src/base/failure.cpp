#include "base/failure.hpp"

#include <exception>
#include <filesystem>
#include <new>

namespace gem {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.code(), error.what()};
  } catch (const std::bad_alloc&) {
    return {ExitCode::System, "out of memory"};
  } catch (const std::filesystem::filesystem_error& error) {
    const std::string other = error.path2().empty() ? "" : " and " + error.path2().string();
    return {ExitCode::System, "cannot use " + error.path1().string() + other + ": " + error.code().message() +
                                  "; check the name and its permissions"};
  } catch (const std::exception& error) {
    return {ExitCode::System, std::string("internal error: ") + error.what() + "; please report it"};
  }
}

}  // namespace gem

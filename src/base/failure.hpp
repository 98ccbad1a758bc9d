#pragma once

#include <string>

#include "base/error.hpp"

namespace gem {

/// What went wrong, as a program tells it.
struct Failure {
  ExitCode code;
  std::string message;
};

/// Of the exception that is being handled: to be called in a catch.
Failure current_failure();

}  // namespace gem

#pragma once

#include <stdexcept>
#include <string>

namespace gem {

/// Exit codes of every program; the numbers are part of the contract with scripts that call us.
enum class ExitCode : int {
  Good = 0,
  NegativeVerdict = 1,
  Usage = 2,
  BadData = 3,
  System = 4,
  Interrupted = 75  ///< asked to stop by SIGUSR1, all finished work saved: --resume goes on (EX_TEMPFAIL of sysexits.h)
};

/// An error that a user can act on: what was tried, on what, what was found, what to do. One sentence or two.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// The program was called wrongly: unknown name, contradictory or missing option, too few ranks.
class UsageError : public Error {
 public:
  explicit UsageError(const std::string& message) : Error(ExitCode::Usage, message) {}
};

/// A file holds something else than it should: name file, field, what was found and what was expected.
class DataError : public Error {
 public:
  explicit DataError(const std::string& message) : Error(ExitCode::BadData, message) {}
};

/// The machine failed us: disk full, device lost, library call refused.
class SystemError : public Error {
 public:
  explicit SystemError(const std::string& message) : Error(ExitCode::System, message) {}
};

}  // namespace gem

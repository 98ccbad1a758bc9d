#pragma once

#include "base/error.hpp"

namespace gem {

/// A rank has stopped answering. Nothing can be agreed with it any more: this error ends the job, whoever meets it.
class RankLostError : public SystemError {
 public:
  using SystemError::SystemError;
};

}  // namespace gem

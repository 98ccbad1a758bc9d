/* The header is C: this file would not compile otherwise. */
#include "policy/gem_policy.h"

int gem_policy_header_size_in_c(void);
int gem_policy_header_size_in_c(void) {
  return (int)(sizeof(gem_policy_question) + sizeof(gem_policy_answer));
}

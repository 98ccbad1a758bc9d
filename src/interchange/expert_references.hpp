#pragma once

#include <string>

#include "interchange/renumbering.hpp"

namespace gem {

/// A configuration, recipe or other text beside the weights with the experts renumbered that it names one by one:
/// "model.layers.3.mlp.experts.12.down_proj", also by a pattern as long as it names one layer and lists its experts
/// ("layers\\.3\\..*experts\\.(1|5)\\..*"). What names all experts of a layer, or none that is renumbered, stays; an
/// array whose names only change places stays as it is. DataError naming `origin` and the words if single experts are
/// named in another way. Whether the text is JSON is seen by its first letter.
std::string renumbered_references(const std::string& text, const Renumbering& renumbering, const std::string& origin);

}  // namespace gem

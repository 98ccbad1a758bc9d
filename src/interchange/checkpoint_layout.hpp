#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace gem {

/// How one family of models names the router and the routed experts of a decoder layer in its checkpoints. All names
/// stand behind "LAYERS.N.BLOCK."; a module's tensors (weight, bias, scales) are named by `tensor_tails` behind it.
struct CheckpointLayout {
  std::string_view models;                      ///< who names them so
  std::string_view layers = "layers";           ///< the word before a layer's number
  std::string_view block;                       ///< the module that holds the rest; empty: the layer itself
  std::vector<std::string_view> router = {};    ///< modules with one row for each expert
  std::vector<std::string_view> vectors = {};   ///< tensors with one number for each expert
  std::vector<std::string_view> numbered = {};  ///< modules behind which an expert's number stands: "experts" .12.
  std::vector<std::string_view> fused = {};     ///< modules whose first dimension is the experts
  std::vector<std::string_view> stacked = {};   ///< modules with the rows of all experts, one expert after the other
  std::vector<std::string_view> ids = {};       ///< tensors whose values are numbers of experts
  std::vector<std::string_view> others = {};    ///< modules and tensors that don't depend on the experts' numbers
};

/// Every layout that GEM knows.
std::span<const CheckpointLayout> checkpoint_layouts();

/// What a tensor of a checkpoint has to do with the routed experts, by its name.
struct TensorRole {
  enum class Kind {
    None,        ///< nothing: attention, shared experts
    OneExpert,   ///< a tensor of one expert; its number is in the name
    Router,      ///< a row for each expert; behind them there may be rows of zero-computation experts
    AllExperts,  ///< fused: the first dimension is the experts
    Stacked,     ///< the first dimension is all experts' rows, one expert after the other
    ExpertIds,   ///< its values are numbers of experts
    Unlisted,    ///< stands where routed experts do, under a name that no layout has
    OtherStack,  ///< of experts in another stack of layers (multi-token prediction, a vision tower), which keep theirs
  };
  Kind kind = Kind::None;
  std::string_view stack;   ///< what stands before the layer in the name: "model."
  std::int32_t layer = -1;  ///< decoder layer; -1: in none
  std::string_view tail;    ///< behind the module: "weight", "weight_scale"; empty if nothing is
  std::int32_t expert = 0;  ///< of OneExpert
  std::size_t max_dimensions =
      0;  ///< of Unlisted: with so many extents above 1 it can't go by expert, with more it may
  bool may_have_expert_count = false;  ///< of Unlisted: not even if an extent is the number of experts
  std::size_t number_begin = 0;        ///< of OneExpert: where its number stands in the name
  std::size_t number_end = 0;
};

/// The role of a tensor, or of a module as configurations name it. Whatever stands in a module that holds experts in
/// some layout, and whatever is called after experts or routers elsewhere in a decoder layer or outside all layers, is
/// Unlisted unless a layout has its name; shared experts are None.
TensorRole role_of(std::string_view tensor_name);

/// Whether "PREFIX" before "layers.N" is of another stack than the text model's decoder.
bool is_other_stack(std::string_view prefix);

}  // namespace gem

#include "interchange/recorded_routing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"

namespace gem {

void RecordedRouting::add_request(const NumberArray& array, const std::string& from) {
  const bool whole = array.whole || std::ranges::all_of(array.values, [](double id) { return id == std::floor(id); });
  if (array.extents.size() != 3 || !whole)
    throw DataError(from + ": has extents " + extents_text(array.extents) + (whole ? "" : " of fractions") +
                    ", but routed experts are whole numbers [token, layer, k]");
  if (request_offsets.empty()) {
    request_offsets = {0};
    layer_count = array.extents[1];
    places = array.extents[2];
  }
  if (array.extents[1] != layer_count || array.extents[2] != places || array.values.empty())
    throw DataError(fmt::format("{}: has extents {}, but the requests before have {} layers and {} experts a token",
                                from, extents_text(array.extents), layer_count, places));
  // Where -1 without its sign can be no expert's number, it is none; of 255 and 65535 the whole recording decides.
  const bool none_is_known = array.none > 65535.0;
  for (const double id : array.values) {
    if (none_is_known && id == array.none) {
      ids.push_back(none);
      continue;
    }
    if (!(id >= -1.0 && id <= 65535.0 && id == std::floor(id)))
      throw DataError(fmt::format("{}: holds {:g}, which is no expert's number", from, id));
    ids.push_back(static_cast<std::int32_t>(id));
  }
  if (array.largest > 0.0) largest_id = std::min(largest_id, array.largest);
  if (array.none > 0.0 && !none_is_known) unsigned_none = static_cast<std::int32_t>(array.none);
  request_offsets.push_back(request_offsets.back() + static_cast<std::int64_t>(array.extents[0]));
}

namespace {

/// Tokens below which it may be by chance that all choose the same experts.
constexpr std::size_t fewest_to_judge = 16;

/// What the ids of a token in a layer are.
enum class Choice : std::uint8_t { Experts, None, Twice };

/// Recorded ids while they are cleaned.
class Cleaning {
 public:
  Cleaning(const RecordedRouting& recorded, const ImportOptions& options, std::vector<std::string>& notes)
      : recorded_(recorded), options_(options), notes_(notes), ids_(recorded.ids), places_(recorded.places) {}

  Routing routing() {
    remove_shared_experts();
    find_expert_count();
    check_type();
    remove_zero_experts();
    judge_choices();
    choose_layers();
    choose_tokens();
    note_other_router();
    return collected();
  }

 private:
  std::size_t layer_count() const { return recorded_.layer_count; }
  std::size_t token_count() const { return recorded_.token_count(); }
  std::span<std::int32_t> ids(std::size_t token, std::size_t layer) {
    return std::span(ids_).subspan((token * layer_count() + layer) * recorded_.places, places_);
  }
  [[noreturn]] void reject(const std::string& what) const { throw DataError(recorded_.origin + ": " + what); }

  /// An engine that fuses shared experts into the routed ones has a place for each, the last ones of every token.
  void remove_shared_experts() {
    if (options_.fused_shared >= places_)
      throw UsageError(fmt::format("{} {}: the data have only {} places a token", on_command_line("fused-shared"),
                                   options_.fused_shared, places_));
    places_ -= options_.fused_shared;
    if (options_.fused_shared > 0 || token_count() < fewest_to_judge) return;
    while (places_ > 1 && last_place_is_constant()) {
      --places_;
      notes_.push_back(
          fmt::format("the last place of every token holds {}, a shared expert that the engine fused into "
                      "the routed ones; it was left out",
                      ids(0, used_layer())[places_]));
    }
  }
  std::size_t used_layer() {
    for (std::size_t layer = 0; layer < layer_count(); ++layer)
      if (!is_constant(layer)) return layer;
    return 0;
  }
  /// Whether all tokens have the same ids in a layer.
  bool is_constant(std::size_t layer) {
    for (std::size_t token = 1; token < token_count(); ++token)
      if (!std::ranges::equal(ids(token, layer), ids(0, layer))) return false;
    return true;
  }
  bool last_place_is_constant() {
    std::set<std::int32_t> found;
    for (std::size_t layer = 0; layer < layer_count() && found.size() < 2; ++layer) {
      if (is_constant(layer)) continue;  // not recorded
      for (std::size_t token = 0; token < token_count(); ++token) found.insert(ids(token, layer).back());
    }
    return found.size() == 1 && *found.begin() != RecordedRouting::none;
  }

  void find_expert_count() {
    expert_count_ = options_.expert_count;
    if (!options_.layer_experts.empty())
      expert_count_ = static_cast<std::size_t>(std::ranges::max(options_.layer_experts));
    if (expert_count_ > 0) return;
    std::int32_t largest = 0;
    for (std::size_t token = 0; token < token_count(); ++token)
      for (std::size_t layer = 0; layer < layer_count(); ++layer)
        if (choice_of(ids(token, layer)) == Choice::Experts)
          largest = std::max(largest, std::ranges::max(ids(token, layer)));
    expert_count_ = static_cast<std::size_t>(largest) + 1 -
                    std::min<std::size_t>(options_.zero_experts, static_cast<std::size_t>(largest));
    notes_.push_back(
        fmt::format("the data don't say how many experts there are; {} is taken from the largest number in them: say "
                    "it with {} or {} if there are more",
                    expert_count_, on_command_line("model"), on_command_line("experts")));
  }

  /// A type that can't hold all ids has cut them to others.
  void check_type() const {
    const std::size_t last = expert_count_ + options_.zero_experts - 1;
    if (static_cast<double>(last) > recorded_.largest_id)
      reject(
          fmt::format("its numbers end at {:g}, but the model's experts at {}: those above were cut to others; record "
                      "them in two bytes (uint16)",
                      recorded_.largest_id, last));
  }

  /// Ids behind the routed experts compute nothing: the token has fewer experts.
  void remove_zero_experts() {
    const auto experts = static_cast<std::int32_t>(expert_count_);
    const std::int32_t end = experts + static_cast<std::int32_t>(options_.zero_experts);
    std::size_t removed = 0;
    for (std::size_t token = 0; token < token_count(); ++token)
      for (std::size_t layer = 0; layer < layer_count(); ++layer)
        for (std::int32_t& id : ids(token, layer)) {
          if (id >= experts && id == recorded_.unsigned_none) id = RecordedRouting::none;
          if (id >= end)
            reject(fmt::format(
                "holds expert {} in recorded layer {}, but experts are 0 to {}; if the router has more that compute "
                "nothing, say how many with {}, and with {} how many shared experts are in the last places",
                id, layer, experts - 1, on_command_line("zero-experts"), on_command_line("fused-shared")));
          if (id < experts) continue;
          id = RecordedRouting::none;
          ++removed;
        }
    if (removed > 0)
      notes_.push_back(
          fmt::format("{} choices of zero experts were left out: tokens have fewer experts there", removed));
  }

  static Choice choice_of(std::span<const std::int32_t> ids) {
    std::vector<std::int32_t> sorted(ids.begin(), ids.end());
    std::ranges::sort(sorted);
    const auto first = std::ranges::upper_bound(sorted, RecordedRouting::none);
    if (first == sorted.end()) return Choice::None;
    return std::adjacent_find(first, sorted.end()) == sorted.end() ? Choice::Experts : Choice::Twice;
  }
  /// With one expert a token nothing repeats; then a token that has expert 0 in each of several layers wasn't recorded.
  bool is_blank(std::size_t token) {
    if (places_ > 1 || layer_count() < 4) return false;
    for (std::size_t layer = 0; layer < layer_count(); ++layer)
      if (ids(token, layer)[0] > 0) return false;
    return true;
  }
  void judge_choices() {
    choices_ = Matrix<Choice>(token_count(), layer_count());
    for (std::size_t token = 0; token < token_count(); ++token)
      for (std::size_t layer = 0; layer < layer_count(); ++layer)
        choices_(token, layer) = is_blank(token) ? Choice::None : choice_of(ids(token, layer));
  }

  /// Rows behind the model's last layer are those of a draft model (multi-token prediction).
  std::size_t rows_of_model() {
    if (!has_every_decoder_layer() || layer_count() == options_.decoder_layers) return layer_count();
    notes_.push_back(
        fmt::format("{} of {} recorded layers lie behind the model's last (multi-token prediction) and were "
                    "left out",
                    layer_count() - options_.decoder_layers, layer_count()));
    return options_.decoder_layers;
  }
  void choose_layers() {
    std::vector<std::int64_t> left_out;
    for (std::size_t layer = 0, rows = rows_of_model(); layer < rows; ++layer) {
      bool used = false;
      for (std::size_t token = 0; token < token_count() && !used; ++token)
        used = choices_(token, layer) == Choice::Experts;
      if (used && token_count() >= fewest_to_judge && is_constant(layer)) used = false;
      if (used)
        layers_.push_back(layer);
      else
        left_out.push_back(static_cast<std::int64_t>(layer));
    }
    if (layers_.empty())
      reject(
          "no token has a choice of different experts in any layer, so this is no routing: was it recorded? (all "
          "ids are 0, or the same)");
    if (!left_out.empty())
      notes_.push_back(fmt::format("recorded layer{} {} hold{} no routing (dense, or not recorded) and {} left out",
                                   left_out.size() > 1 ? "s" : "", ranges_text(left_out),
                                   left_out.size() > 1 ? "" : "s", left_out.size() > 1 ? "were" : "was"));
  }

  void choose_tokens() {
    std::size_t absent = 0, twice = 0, elsewhere = 0;
    kept_.assign(token_count(), false);
    for (std::size_t token = 0; token < token_count(); ++token) {
      std::size_t good = 0, repeated = 0;
      for (const std::size_t layer : layers_) {
        good += choices_(token, layer) == Choice::Experts;
        repeated += choices_(token, layer) == Choice::Twice;
      }
      kept_[token] = good == layers_.size();
      if (kept_[token]) continue;
      if (good == 0)
        ++absent;
      else
        ++(repeated > 0 ? twice : elsewhere);
    }
    const std::size_t left_out = absent + twice + elsewhere;
    if (left_out == token_count())
      reject(fmt::format("all {} tokens lack a choice of different experts in some layer, so that none is left",
                         left_out));
    const auto note = [&](std::size_t tokens, const char* what) {
      if (tokens > 0)
        notes_.push_back(fmt::format("{} of {} tokens {} and were left out", tokens, token_count(), what));
    };
    note(absent, "hold no routing (padding, or not recorded)");
    note(elsewhere, "were not recorded in every layer");
    note(twice, "name an expert twice in a layer, which no router does,");
    if (2 * left_out > token_count() && twice > 0)
      notes_.push_back("WARNING: more than half of the tokens are left out; what the rest stands for is in doubt");
  }

  /// Ids in ascending order in one layer alone come from another program than the others: a draft model's router that
  /// recorded under that layer's number.
  void note_other_router() {
    if (places_ < 3 || token_count() < fewest_to_judge) return;
    std::vector<std::int64_t> ascending;
    for (const std::size_t layer : layers_) {
      bool sorted = true;
      for (std::size_t token = 0; token < token_count() && sorted; ++token)
        sorted = !kept_[token] || std::ranges::is_sorted(ids(token, layer));
      if (sorted) ascending.push_back(static_cast<std::int64_t>(layer));
    }
    if (ascending.empty() || 2 * ascending.size() > layers_.size()) return;
    notes_.push_back(
        fmt::format("WARNING: in recorded layer {} alone every token's experts are in ascending order: "
                    "another router may have written there, as that of a draft model",
                    ranges_text(ascending)));
  }

  Routing collected() {
    Routing routing;
    routing.model = options_.model;
    routing.task = options_.task;
    routing.phase = word_of(options_.phase);
    routing.expert_count = expert_count_;
    routing.layer_ids = model_layers();
    if (!options_.layer_experts.empty())
      routing.experts_of_layer = shortest(stated_layer_experts(options_, layers_.size(), expert_count_), expert_count_);
    routing.top_k = largest_choice();
    check_top_k(routing.top_k);
    routing.request_offsets = {0};
    std::size_t empty_requests = 0;
    for (std::size_t request = 0; request + 1 < recorded_.request_offsets.size(); ++request) {
      std::int64_t tokens = routing.request_offsets.back();
      for (auto token = static_cast<std::size_t>(recorded_.request_offsets[request]);
           token < static_cast<std::size_t>(recorded_.request_offsets[request + 1]); ++token) {
        if (!kept_[token]) continue;
        append(routing, token);
        ++tokens;
      }
      if (tokens > routing.request_offsets.back())
        routing.request_offsets.push_back(tokens);
      else
        ++empty_requests;
    }
    if (empty_requests > 0)
      notes_.push_back(
          fmt::format("{} of {} requests have no token left", empty_requests, recorded_.request_offsets.size() - 1));
    return routing;
  }
  void append(Routing& routing, std::size_t token) {
    for (std::size_t kept = 0; kept < layers_.size(); ++kept) {
      const std::size_t layer = layers_[kept];
      std::size_t chosen = 0;
      for (const std::int32_t id : ids(token, layer))
        if (id >= 0) {
          if (static_cast<std::size_t>(id) >= experts_in(routing.experts_of_layer, kept, expert_count_))
            reject(fmt::format("holds expert {} in recorded layer {}, but {} says {} experts there", id, layer,
                               on_command_line("layer-experts"), routing.experts_of_layer[kept]));
          routing.topk_ids.push_back(static_cast<std::uint16_t>(id));
          ++chosen;
        }
      for (; chosen < routing.top_k; ++chosen) routing.topk_ids.push_back(Routing::no_expert);
    }
  }
  std::size_t largest_choice() {
    std::size_t largest = 0;
    bool differ = false;
    for (std::size_t token = 0; token < token_count(); ++token) {
      if (!kept_[token]) continue;
      for (const std::size_t layer : layers_) {
        const auto chosen =
            static_cast<std::size_t>(std::ranges::count_if(ids(token, layer), [](std::int32_t id) { return id >= 0; }));
        differ = differ || (largest != 0 && chosen != largest);
        largest = std::max(largest, chosen);
      }
    }
    if (differ) notes_.push_back(fmt::format("tokens have different numbers of experts, {} at most", largest));
    return largest;
  }
  void check_top_k(std::size_t top_k) const {
    if (options_.top_k != 0 && (options_.top_k < top_k || options_.top_k > places_))
      throw UsageError(fmt::format("the data have {} experts a token, but {} or {} says {}{}", top_k,
                                   on_command_line("top-k"), on_command_line("model"), options_.top_k,
                                   options_.top_k < top_k ? "; if shared experts are in the last places, say how many "
                                                            "with " +
                                                                on_command_line("fused-shared")
                                                          : ""));
    if (top_k > expert_count_)
      throw UsageError(fmt::format("the data have {} experts a token, more than the {} that {} or {} says", top_k,
                                   expert_count_, on_command_line("experts"), on_command_line("model")));
    if (top_k == expert_count_ && expert_count_ > 1)
      reject(fmt::format("every token has all {} experts, so these are counts rather than routed experts ({} counts)",
                         top_k, on_command_line("format")));
  }

  /// The model's own numbers of the layers that are kept.
  std::vector<std::int32_t> model_layers() {
    const std::vector<std::int32_t>& named = options_.layer_ids;
    std::vector<std::int32_t> kept(layers_.begin(), layers_.end());
    if (has_every_decoder_layer()) return kept;
    if (named.size() == layer_count() || (named.empty() && kept.size() == layer_count())) {
      const std::vector<std::int32_t> ids = numbered_layers(layer_count(), options_, notes_);
      for (std::int32_t& layer : kept) layer = ids[static_cast<std::size_t>(layer)];
      return kept;
    }
    if (named.size() == kept.size()) return named;
    if (!named.empty()) return numbered_layers(layer_count(), options_, notes_);  // says that it is another number
    notes_.push_back("layers have the numbers of their rows, as in engines that record every decoder layer; " +
                     on_command_line("model") + " or " + on_command_line("layer-ids") + " can say others");
    return kept;
  }
  bool has_every_decoder_layer() const {
    return options_.decoder_layers != 0 && layer_count() >= options_.decoder_layers;
  }

  const RecordedRouting& recorded_;
  const ImportOptions& options_;
  std::vector<std::string>& notes_;
  std::vector<std::int32_t> ids_;
  std::size_t places_;  // of each token that are looked at, the first ones
  std::size_t expert_count_ = 0;
  Matrix<Choice> choices_;           // [token, layer]
  std::vector<std::size_t> layers_;  // recorded layers that are kept
  std::vector<bool> kept_;           // [token]
};

}  // namespace

Routing routing_of(const RecordedRouting& recorded, const ImportOptions& options, std::vector<std::string>& notes) {
  if (recorded.token_count() == 0) throw DataError(recorded.origin + ": holds no request");
  notes.insert(notes.end(), recorded.notes.begin(), recorded.notes.end());
  return Cleaning(recorded, options, notes).routing();
}

}  // namespace gem

#include "mapping/remapping.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "device/device_options.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_request.hpp"
#include "model/weight_type.hpp"
#include "search/move_plan.hpp"
#include "search/remap.hpp"

namespace gem {
namespace {

constexpr std::size_t any_number = std::numeric_limits<std::size_t>::max();

// A placement of one layer within so many moves, and the copies that it is of.
struct LayerPoint {
  std::size_t moves = 0;
  double cost_s = 0.0;  // mean of the steps searched on
  Assignment assignment;
  const CopyCounts* copies = nullptr;
};

// Fronts of all layers, dealt out to the ranks; complete on rank 0. Under a time limit a rank's layers have equal
// shares of what is left until `end_s`.
std::vector<std::vector<RemapPoint>> all_fronts(const Communicator& world, const std::vector<LayerProblem>& problems,
                                                const Mapping& present, const SearchOptions& options, double end_s,
                                                const std::vector<Assignment>& targets) {
  std::vector<std::int64_t> mine;
  const auto ranks = static_cast<std::size_t>(world.size());
  for (auto layer = static_cast<std::size_t>(world.rank()); layer < problems.size(); layer += ranks) {
    RemapRule own{.iterations = iterations_of(options, problems[layer]),
                  .seed = options.seed * problems.size() + layer};
    if (options.time_limit_s > 0.0) {
      const double now_s = options.elapsed_s();
      const std::size_t layers_left = (problems.size() - layer - 1) / ranks + 1;
      const double until_s = now_s + std::max(0.0, end_s - now_s) / static_cast<double>(layers_left);
      own.is_out_of_time = [&options, until_s] { return options.elapsed_s() > until_s; };
    }
    const std::span<const Assignment> target =
        targets.empty() ? std::span<const Assignment>{} : std::span(targets).subspan(layer, 1);
    const std::vector<RemapPoint> front = remap_front(problems[layer], slots_of(present, layer), own, target);
    mine.insert(mine.end(), {static_cast<std::int64_t>(layer), static_cast<std::int64_t>(front.size())});
    for (const RemapPoint& point : front) {
      mine.insert(mine.end(), {static_cast<std::int64_t>(point.moves), point.cost});
      mine.insert(mine.end(), point.assignment.begin(), point.assignment.end());
    }
    sign_of_life();
  }
  const std::vector<std::int64_t> all = world.gather(std::span<const std::int64_t>(mine));
  std::vector<std::vector<RemapPoint>> fronts(world.is_root() ? problems.size() : 0);
  for (auto at = all.begin(); at != all.end();) {
    const auto layer = static_cast<std::size_t>(*at++);
    auto& front = fronts[layer];
    front.resize(static_cast<std::size_t>(*at++));
    for (RemapPoint& point : front) {
      point.moves = static_cast<std::size_t>(*at++);
      point.cost = *at++;
      for (std::size_t placed = 0; placed < problems[layer].expert_count(); ++placed)
        point.assignment.push_back(static_cast<std::int32_t>(*at++));
    }
  }
  return fronts;
}

// Adds the points of one choice of copies to those that there are, [layer].
void add_points(const Communicator& world, const MappingQuestion& question, const LoadTrace& trace,
                const Mapping& present, const CopyCounts& copies, const Mapping* target, double end_s,
                std::vector<std::vector<LayerPoint>>& points) {
  const std::vector<LayerProblem> problems = problems_of(cost_model_of(question), trace, copies);
  const auto fronts = all_fronts(world, problems, present, question.search, end_s,
                                 target != nullptr ? assignments_of(*target) : std::vector<Assignment>{});
  points.resize(fronts.size());
  for (std::size_t layer = 0; layer < fronts.size(); ++layer)
    for (const RemapPoint& point : fronts[layer])
      points[layer].push_back({point.moves, mean_seconds(problems[layer], point.cost), point.assignment, &copies});
}

// Ascending by moves, each cheaper than all before it.
void keep_front(std::vector<LayerPoint>& points) {
  std::ranges::stable_sort(points, [](const LayerPoint& a, const LayerPoint& b) {
    return a.moves != b.moves ? a.moves < b.moves : a.cost_s < b.cost_s;
  });
  std::vector<LayerPoint> front;
  for (LayerPoint& point : points)
    if (front.empty() || point.cost_s < front.back().cost_s) front.push_back(std::move(point));
  points = std::move(front);
}

// One point of each layer.
struct Choice {
  std::vector<std::size_t> points;
  std::size_t moves = 0;
};

// Of each layer the point that costs least within so many moves, `price_s` each.
Choice choose(const std::vector<std::vector<LayerPoint>>& layers, std::size_t max_moves, double price_s) {
  Choice choice;
  for (const std::vector<LayerPoint>& front : layers) {
    std::size_t best = 0;
    const auto priced = [&](const LayerPoint& point) {
      return point.cost_s + price_s * static_cast<double>(point.moves);
    };
    for (std::size_t p = 1; p < front.size() && front[p].moves <= max_moves; ++p)
      if (priced(front[p]) < priced(front[best])) best = p;
    choice.points.push_back(best);
    choice.moves += front[best].moves;
  }
  return choice;
}

Mapping mapping_of_choice(const std::vector<std::vector<LayerPoint>>& layers, const Choice& choice,
                          std::size_t device_count) {
  std::vector<Assignment> assignments;
  CopyCounts counts;
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const LayerPoint& point = layers[layer][choice.points[layer]];
    assignments.push_back(point.assignment);
    if (point.copies->rows() == 0) continue;
    if (counts.rows() == 0) counts = CopyCounts(layers.size(), point.copies->columns());
    std::ranges::copy(point.copies->row(layer), counts.row(layer).begin());
  }
  return mapping_of(assignments, counts, device_count);
}

// A row of the table: a choice, and what it comes to.
struct Row {
  std::string name;
  Choice choice;
  double train_s = 0.0, test_s = 0.0;
};

class Report {
 public:
  Report(const MappingQuestion& question, std::optional<double> move_s, const Row& stays)
      : question_(question), move_s_(move_s), stays_(stays) {}

  double scored_s(const Row& row) const { return question_.test ? row.test_s : row.train_s; }

  std::string bytes_of(const Row& row) const {
    const std::size_t bytes = expert_bytes_of(question_.profile);
    return bytes == 0 ? "?" : format_bytes(static_cast<double>(bytes * row.choice.moves));
  }
  // None where a move's time is unknown.
  std::optional<double> moves_s(const Row& row) const {
    return move_s_ ? std::optional(*move_s_ * static_cast<double>(row.choice.moves)) : std::nullopt;
  }
  std::string seconds_of(const Row& row) const {
    const std::optional<double> seconds = moves_s(row);
    return seconds ? format_seconds(*seconds) : "?";
  }
  // Steps until what is saved is what the moves took: infinity if nothing is, none where a move's time is unknown.
  std::optional<double> payback_steps(const Row& row) const {
    const double saved_s = scored_s(stays_) - scored_s(row);
    if (row.choice.moves == 0) return 0.0;
    if (saved_s <= 0.0) return std::numeric_limits<double>::infinity();
    return move_s_ ? std::optional(std::ceil(*moves_s(row) / saved_s)) : std::nullopt;
  }
  std::string payback_of(const Row& row) const {
    const std::optional<double> steps = payback_steps(row);
    if (!steps) return "?";
    return std::isinf(*steps) ? "never" : fmt::format("{:.0f}", *steps);
  }

  JsonRecord record(const Row& row) const {
    const std::size_t bytes = expert_bytes_of(question_.profile);
    JsonRecord record;
    record.add("moves_a_layer", row.name)
        .add("moved_experts", row.choice.moves)
        .add("moved_bytes", bytes == 0 ? std::nullopt : std::optional(bytes * row.choice.moves))
        .add("moves_s", moves_s(row))
        .add("train_s", row.train_s)
        .add("test_s", question_.test ? std::optional(row.test_s) : std::nullopt)
        .add("payback_steps", payback_steps(row));
    return record;
  }

  std::string table(const std::vector<Row>& rows) const {
    std::vector<Table::Column> columns{{"moves", "a layer"}, {"moved", "experts"},    {"weights", "", 2},
                                       {"takes", "", 3},     {"train", "ms/step", 4}, {"", "of now", 1}};
    if (question_.test) {
      const std::string name = is_held_out(question_.sample) ? "held-out" : sample_note(question_.sample);
      columns.insert(columns.end(), {{name, "ms/step"}, {"", "of now"}});
    }
    columns.push_back({"paid back", "steps"});
    Table table(columns);
    for (const Row& row : rows) {
      std::vector<std::string> cells{row.name,
                                     fmt::format("{}", row.choice.moves),
                                     bytes_of(row),
                                     seconds_of(row),
                                     fmt::format("{:.4f}", row.train_s * 1e3),
                                     fmt::format("{:.3f}", row.train_s / stays_.train_s)};
      if (question_.test) {
        cells.push_back(fmt::format("{:.4f}", row.test_s * 1e3));
        cells.push_back(fmt::format("{:.3f}", row.test_s / stays_.test_s));
      }
      cells.push_back(payback_of(row));
      table.add_row(cells);
    }
    return table.to_string();
  }

 private:
  const MappingQuestion& question_;
  std::optional<double> move_s_;
  const Row& stays_;
};

}  // namespace

std::size_t expert_bytes_of(const LatencyProfile& profile) {
  return profile.expert.weight_count() * bytes_of(weight_type_of(profile.weight_dtype));
}

std::optional<double> move_seconds(std::optional<double> stated_s, const LatencyProfile& profile) {
  if (stated_s) return stated_s;
  if (profile.exchange.empty() || expert_bytes_of(profile) == 0) return std::nullopt;
  std::vector<double> seconds;
  const PairExchange& pairs = profile.exchange;
  for (std::size_t i = 0; i < pairs.bytes_per_s.rows(); ++i)
    for (std::size_t j = 0; j < i; ++j)
      seconds.push_back(pairs.latency_s(i, j) +
                        static_cast<double>(expert_bytes_of(profile)) / pairs.bytes_per_s(i, j));
  if (seconds.empty()) return std::nullopt;
  return median(seconds);
}

void describe(OptionList& options, RemapRequest& request) {
  options.group("From a running placement");
  options
      .add_file("from", request.from, "FILE",
                "the placement that runs now (gem.mapping; an engine's own by gem-deploy import): change it with few "
                "moves instead of mapping anew")
      .without("map anew");
  options.add("max-moves", request.max_moves, "N", "move at most so many experts of each layer to another device")
      .range(0, 1e6)
      .without("any number");
  options
      .add("horizon", request.horizon_steps, "STEPS",
           "make only moves that pay for themselves within so many steps; each costs {move-time}")
      .above(0, 1e15)
      .without("moves cost nothing");
  describe_move_time(options, request.move_s);
}

void describe_move_time(OptionList& options, std::optional<double>& move_s) {
  options
      .add("move-time", move_s, "SECONDS",
           "time in which steps stand still for the move of one expert; moves follow each other")
      .above(0, 1e6)
      .without("an expert's bytes at the median speed between two devices of the profile");
}

void check_remap_request(const RemapRequest& request, const MappingQuestion& question) {
  if (request.from.empty()) {
    for (const auto& [given, option] :
         {std::pair{request.max_moves.has_value(), option_name(&RemapRequest::max_moves)},
          std::pair{request.horizon_steps.has_value(), option_name(&RemapRequest::horizon_steps)},
          std::pair{request.move_s.has_value(), option_name(&RemapRequest::move_s)}})
      if (given)
        throw option_error(option, "{} is about moves from a running placement; give {}, or leave it out",
                           option_name(&RemapRequest::from));
    return;
  }
  if (question.expert_groups > 1)
    throw option_error(option_name(&MappingRequest::expert_groups),
                       "{} and {} exclude each other: groups are for checkpoints, which nothing runs from yet",
                       option_name(&RemapRequest::from));
  if (question.levels == 2)
    throw option_error(option_name(&MappingRequest::levels),
                       "{} 2 and {} exclude each other: moves are made between any nodes; leave one out",
                       option_name(&RemapRequest::from));
  if (question.objective == Objective::P99)
    throw option_error(option_name(&MappingRequest::objective),
                       "{} p99 and {} exclude each other: moves are paid by "
                       "the mean step; leave one out",
                       option_name(&RemapRequest::from));
  if (request.horizon_steps && !move_seconds(request.move_s, question.profile))
    throw option_error(option_name(&RemapRequest::horizon_steps),
                       "{}: the profile doesn't say how fast its devices send each other bytes, so that moves have no "
                       "price; give {}, or profile with the exchange",
                       option_name(&RemapRequest::move_s));
}

RemapAnswer remap(const Communicator& world, const MappingQuestion& question, const Mapping& present,
                  const Mapping& target, const RemapRequest& request) {
  const LoadTrace trace = steps_to_search_on(question);
  const CopyCounts own_copies = copies_of(present), new_copies = copies_of(target);
  const bool same_copies = own_copies == new_copies;
  std::vector<std::vector<LayerPoint>> layers;
  const double end_s = question.search.time_limit_s, now_s = question.search.elapsed_s();
  add_points(world, question, trace, present, own_copies, same_copies ? &target : nullptr,
             same_copies ? end_s : 0.5 * (now_s + std::max(now_s, end_s)), layers);
  if (!same_copies) add_points(world, question, trace, present, new_copies, &target, end_s, layers);
  if (!world.is_root()) return {};
  for (std::vector<LayerPoint>& points : layers) keep_front(points);

  CostOptions judged_by = question.cost;
  judged_by.features = LoadFeatures::TilesAndExperts;
  const CostModel model(question.profile, judged_by);
  MappingCosts on_train(model, question.train);
  std::optional<MappingCosts> on_test;
  if (question.test) on_test.emplace(model, *question.test);
  const auto row_of = [&](const std::string& name, const Choice& choice) {
    const Mapping mapping = mapping_of_choice(layers, choice, present.device_count);
    return Row{name, choice, on_train.score(mapping).mean_s, on_test ? on_test->score(mapping).mean_s : 0.0};
  };
  std::size_t most = 0;
  for (const std::vector<LayerPoint>& front : layers) most = std::max(most, front.back().moves);
  std::vector<Row> rows{row_of("0", choose(layers, 0, 0.0))};
  for (std::size_t moves = 1; moves < most; moves *= 2)
    rows.push_back(row_of(fmt::format("{}", moves), choose(layers, moves, 0.0)));
  rows.push_back(row_of("all", choose(layers, any_number, 0.0)));

  const std::optional<double> move_s = move_seconds(request.move_s, question.profile);
  const double price_s = request.horizon_steps ? *move_s / *request.horizon_steps : 0.0;
  const Row chosen = row_of("chosen", choose(layers, request.max_moves.value_or(any_number), price_s));
  const Report report(question, move_s, rows[0]);

  RemapAnswer answer;
  answer.mapping = mapping_of_choice(layers, chosen.choice, present.device_count);
  answer.mapping.method = target.method;
  answer.mapping.layer_ids = target.layer_ids;
  answer.mapping.predicted_s = on_train.stage_s(answer.mapping, profiled_stage);
  answer.mapping.lower_bound_s = target.lower_bound_s;
  answer.mapping.train_steps = target.train_steps;
  answer.mapping.train_task = target.train_task;
  answer.mapping.train_part = target.train_part;
  answer.mapping.device_kind = target.device_kind;
  answer.mapping.devices = target.devices;
  answer.mapping.program = target.program;
  answer.mapping.moved_from = request.from;
  answer.mapping.expert_bytes = expert_bytes_of(question.profile);
  for (std::size_t layer = 0; layer < layers.size(); ++layer)
    for (const ExpertMove& move :
         plan_moves(static_cast<std::int32_t>(layer), slots_of(present, layer), slots_of(answer.mapping, layer)))
      answer.mapping.moves.push_back(move);

  answer.report = "\n" + wrap("From " + request.from + ", with so many experts of a layer that change their device:") +
                  "\n" + report.table(rows);
  if (!move_s)
    answer.report += wrap("Note: the time of a move is unknown; profile with the exchange, or state it with " +
                          on_command_line("move-time")) +
                     "\n";
  std::vector<JsonRecord> records;
  for (const Row& row : rows) records.push_back(report.record(row));
  answer.record.add("from", request.from).add("numbers_of_moves", records).add("chosen", report.record(chosen));
  std::string limits;
  if (request.max_moves) limits += fmt::format(", at most {} a layer", *request.max_moves);
  if (request.horizon_steps) limits += fmt::format(", paid back within {:.10g} steps", *request.horizon_steps);
  answer.report +=
      wrap(fmt::format("Chosen{}: {} moves in {} copies of weights ({}, {}), {:.4f} ms a step of {:.4f} now, paid back "
                       "after {} steps. The moves are in the file, in an order that needs no memory beside the slots "
                       "but a buffer for one expert.",
                       limits, chosen.choice.moves, answer.mapping.moves.size(), report.bytes_of(chosen),
                       report.seconds_of(chosen), report.scored_s(chosen) * 1e3, report.scored_s(rows[0]) * 1e3,
                       report.payback_of(chosen))) +
      "\n";
  return answer;
}

}  // namespace gem

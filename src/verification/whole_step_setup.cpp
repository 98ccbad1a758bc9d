#include "verification/whole_step_setup.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text_file.hpp"
#include "device/device_factory.hpp"
#include "model/decoder_shape.hpp"
#include "model/moe_model.hpp"
#include "model/trace_words.hpp"
#include "verification/rest_table.hpp"

namespace gem {
namespace {

// The model that whole steps are of; throws where it doesn't fit profile and trace.
MoeModel decoder_model(const ReplayRequest& request, const ReplayQuestion& question) {
  MoeModel model = blaming(option_name(&ReplayRequest::model), [&] {
    const MoeModel named = model_of_option(request.model.empty() ? question.trace.model : request.model);
    require_decoder(named);
    return named;
  });
  if (model.expert_count != question.trace.expert_count() || model.top_k != question.trace.top_k)
    throw option_error(option_name(&ReplayRequest::model), "{} {}: {} experts, top-{}, but the trace has {}, top-{}",
                       model.name, model.expert_count, model.top_k, question.trace.expert_count(),
                       question.trace.top_k);
  if (!(model.expert == question.profile.expert))
    throw option_error(
        option_name(&ReplayRequest::model),
        "{} {}: experts of {}x{}, but those of the profile are {}x{}; profile the model's own, or give a "
        "CSV file with a model of the profile's shape",
        model.name, model.expert.hidden_size, model.expert.intermediate_size, question.profile.expert.hidden_size,
        question.profile.expert.intermediate_size);
  return model;
}

bool is_prefill(const ReplayQuestion& question) {
  return says(question.trace.phase, Phase::Prefill);
}

// StepSetting::attention_layers; throws where no layer of some kind is replayed.
std::vector<double> attention_layers(const MoeModel& model, std::size_t context,
                                     const std::vector<std::int32_t>& layer_ids) {
  const auto seen = [&](std::size_t layer_id) { return model.decoder.seen_tokens(context, layer_id); };
  std::map<std::size_t, std::size_t> of_model, replayed;  // by tokens seen
  for (std::size_t layer_id = 0; layer_id < model.layer_count; ++layer_id) ++of_model[seen(layer_id)];
  for (const std::int32_t layer_id : layer_ids) ++replayed[seen(static_cast<std::size_t>(layer_id))];
  for (const auto& [tokens, count] : of_model)
    if (!replayed.contains(tokens))
      throw option_error(
          option_name(&ReplayRequest::layer_ids),
          "{}: {} layers of {} attend to {} tokens, and none of them is replayed; give some of them, too", count,
          model.name, tokens);
  std::vector<double> layers;
  for (const std::int32_t layer_id : layer_ids) {
    const std::size_t tokens = seen(static_cast<std::size_t>(layer_id));
    layers.push_back(static_cast<double>(of_model[tokens]) / static_cast<double>(replayed[tokens]));
  }
  return layers;
}

void check_batch(const ReplayRequest& request, const LoadTrace& trace) {
  if (request.output_tokens > trace.step_count())
    throw option_error(option_name(&ReplayRequest::output_tokens), "{} {}: only {} steps are replayed; give more ({})",
                       request.output_tokens, trace.step_count(), option_name(&ReplayRequest::steps));
  if (!request.batch) return;
  if (says(trace.phase, Phase::Prefill))
    throw option_error(option_name(&ReplayRequest::batch),
                       "{}: the trace is of prefill, whose steps are chunks of tokens, not a batch of sequences");
  if (*request.batch != trace.tokens_per_step)
    throw option_error(option_name(&ReplayRequest::batch),
                       "{} {}: the trace has {} tokens a step, one of each sequence; make one with as many (gem-trace "
                       "batch {} {})",
                       *request.batch, trace.tokens_per_step, on_command_line("batch-size"), *request.batch);
}

}  // namespace

bool replays_whole_steps(const ReplayRequest& request) {
  return request.whole_step || !request.rest_file.empty();
}

void check_whole_step_options(const ReplayRequest& request) {
  if (replays_whole_steps(request)) return;
  if (request.judge_by == JudgedBy::Step)
    throw option_error(option_name(&ReplayRequest::judge_by), "{} step needs whole steps: add {}",
                       option_name(&ReplayRequest::whole_step));
  const auto needs_whole_step = [](const OptionName& option) {
    throw option_error(option, "{} is for whole steps: add {}", option_name(&ReplayRequest::whole_step));
  };
  if (!request.model.empty()) needs_whole_step(option_name(&ReplayRequest::model));
  if (request.context != ReplayRequest{}.context) needs_whole_step(option_name(&ReplayRequest::context));
  if (request.batch) needs_whole_step(option_name(&ReplayRequest::batch));
  if (request.output_tokens > 0) needs_whole_step(option_name(&ReplayRequest::output_tokens));
  if (request.exchange_fixed_us) needs_whole_step(option_name(&ReplayRequest::exchange_fixed_us));
  if (request.exchange_row_ns) needs_whole_step(option_name(&ReplayRequest::exchange_row_ns));
}

void check_whole_steps(const ReplayRequest& request, const ReplayQuestion& question) {
  attention_layers(decoder_model(request, question), is_prefill(question) ? 0 : request.context,
                   question.trace.layer_ids);
  check_batch(request, question.trace);
}

std::size_t replayed_context(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                             const DeviceKind& kind) {
  if (!is_prefill(question)) return request.context;
  const bool runs = request.rest_file.empty() && kind.runs_prefill_attention();
  return ranks.max(runs ? 0.0 : 1.0) == 0.0 ? request.context : 0;
}

StepDecoders make_decoders(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                           const std::vector<std::unique_ptr<MoeDevice>>& local, const std::vector<double>& speeds,
                           std::size_t context) {
  StepDecoders decoders;
  decoders.layer_ids = question.trace.layer_ids;
  DecoderWork work{decoder_model(request, question), 0, context, request.seed};
  work.prefill = is_prefill(question);
  const std::size_t first =
      devices_of_rank(speeds.size(), static_cast<std::size_t>(ranks.size()), static_cast<std::size_t>(ranks.rank()))
          .first;
  std::shared_ptr<const RestTable> table;
  if (!request.rest_file.empty()) {
    table = std::make_shared<RestTable>(read_needed_text(request.rest_file), request.rest_file, work.context);
    work.tokens = question.trace.tokens_per_step;
    check_rest_table(*table, work, request.rest_file);
  }
  for (std::size_t d = 0; d < local.size(); ++d) {
    work.tokens = own_tokens(question.trace.tokens_per_step, speeds.size(), first + d);
    decoders.devices.push_back(table ? make_table_decoder(table, work, 1.0 / speeds[first + d])
                                     : local[d]->make_decoder(work));
    if (!decoders.devices.back())
      throw option_error(option_name(&ReplayRequest::whole_step),
                         "{}: {} devices run experts alone; compose the step from a table of measured operators ({})",
                         local[d]->kind().name, option_name(&ReplayRequest::rest_file));
  }
  return decoders;
}

StepSetting step_setting(const ReplayRequest& request, const ReplayQuestion& question, const DeviceKind& kind,
                         std::size_t context) {
  const MoeModel model = decoder_model(request, question);
  StepSetting setting;
  setting.context = context;
  setting.output_tokens = request.output_tokens;
  setting.moe_layers = model.moe_layer_count;
  setting.dense_layers = model.dense_layer_count();
  setting.rest = !request.rest_file.empty() ? "composed from " + request.rest_file
                 : kind.is_virtual()        ? "simulated"
                                            : "measured";
  if (request.exchange_fixed_us || request.exchange_row_ns) {
    setting.exchange_fixed_s = 1e-6 * request.exchange_fixed_us.value_or(0.0);
    setting.exchange_row_s = 1e-9 * request.exchange_row_ns.value_or(0.0);
  } else if (!question.profile.exchange_law.empty()) {
    const ExchangeOfStep exchange =
        exchange_of_step(question.profile.exchange_law, static_cast<double>(question.trace.tokens_per_step));
    setting.exchange_fixed_s = exchange.fixed_s;
    setting.exchange_row_s = exchange.row_s;
  }
  setting.attention_layers = attention_layers(model, setting.context, question.trace.layer_ids);
  return setting;
}

}  // namespace gem

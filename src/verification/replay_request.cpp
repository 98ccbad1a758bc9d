#include "verification/replay_request.hpp"

#include "verification/whole_step_setup.hpp"

namespace gem {

void describe(OptionList& options, ReplayRequest& request) {
  options.group("What is replayed");
  options.add({"steps", "verify_steps"}, request.steps, "N", "how many steps to replay").range(1, 1e6);
  options.add("first-step", request.first_step, "N", "first step to replay")
      .without("the first that was not searched on");
  options.add({"layers", "verify_layers"}, request.layer_ids, "LIST", "decoder layers to replay, e.g. 0,11,23")
      .without("all");
  options
      .add("layer-count", request.layer_count, "N",
           "replay N layers, the first, the last and evenly between, instead of {layers}")
      .range(0, 65536)
      .without("as {layers} says");
  options.add("rounds", request.replay.rounds, "N", "measurements of each step; the median counts").range(1, 10000);
  options.add("checked-steps", request.replay.checked_steps, "N", "steps whose data and outputs are checked first");
  options.add("compute-only", request.compute_only,
              "time the experts' compute without the exchange, which is only checked");
  options.add("transport", request.transport, "how rows travel: mpi is through host memory")
      .without("nccl on GPUs, else mpi");
  options
      .add("patience", request.patience_s, "SECONDS",
           "how long ranks wait for one that doesn't answer, before the job ends")
      .above(0, 86400)
      .not_in_results();
  options.add("allow-model-mismatch", request.allow_model_mismatch,
              "replay a trace of one model with a profile or mapping of another");
  options.add("strict", request.strict, "refuse a doubtful profile (exit code 3) instead of warning of it")
      .not_in_results();
  options.group("Verdict");
  options.add("judge", request.judge, "NAME", "mapping that the verdict is about").without("gem, else the last");
  options
      .add("judge-by", request.judge_by,
           "what the verdict is about: the slowest device's compute, whole layers with the exchange, or whole steps")
      .without("step with {whole-step}, layer where whole layers are timed, else straggler");
  options
      .add("rest-per-layer", request.rest_per_layer_ms, "MILLISECONDS",
           "time of a layer beside its routed experts (attention, shared experts, others): adds an estimate of the "
           "whole model's step")
      .range(0, 1e6);
  options.group("Whole steps");
  options.add("whole-step", request.whole_step,
              "replay whole decoder steps: attention over a cache, all other products, shared experts and head, too; "
              "says the time per output token");
  options.add("model", request.model, "NAME|FILE.csv", "model whose decoder layers these are").without("the trace's");
  options.add("batch", request.batch, "N", "sequences of a step on all devices together")
      .range(1, 1e6)
      .without("the trace's tokens a step");
  options
      .add("context", request.context, "TOKENS",
           "tokens in the cache of each sequence; of prefill, those that a device's chunk follows; 0: attention itself "
           "is left out")
      .range(0, 1e6);
  options
      .add("output-tokens", request.output_tokens, "N",
           "also the time per token over the output of a request: N steps in order; 0: not")
      .range(0, 1e6);
  options.add_file("rest", request.rest_file, "FILE.csv",
                   "measured operators (part,tokens,seconds) to compose whole steps from instead of running them, each "
                   "device as slow as its profile; implies {whole-step}");
  options
      .add("exchange-fixed-time", request.exchange_fixed_us, "MICROSECONDS",
           "where the exchange isn't timed: time that dispatch and combine of a layer take, however much is sent")
      .range(0, 1e9)
      .without("what the profile's law of the exchange says, if it has one; else not counted");
  options
      .add("exchange-row-time", request.exchange_row_ns, "NANOSECONDS",
           "and for each row of the device that gets the most rows")
      .range(0, 1e9)
      .without("from the same law; else not counted");
  options.group("Devices");
  options.add("device", request.device, "KIND", "what runs the experts")
      .one_of(device_kind_words())
      .without("as in the profile");
  options.add("command", request.command, "COMMAND",
              "of {device} command: the program that each rank starts as its device, as for gem-profile");
  options
      .add("command-timeout", request.command_timeout_s, "SECONDS", "longest time that the program may take to answer")
      .above(0, 1e6)
      .not_in_results();
  options.add_numbers_or_file("slowdown", request.slowdown, "LIST|FILE.csv", "emulated slowdown of each device")
      .without("as in the profile");
  options.add("share-gpu", request.share_gpu, "ranks that share a GPU work one after the other");
  options.add("seed", request.seed, "N", "seed of all random choices: order of the mappings, weights, bootstrap");
}

void check_replay_request(const ReplayRequest& request) {
  check_options(request);
  if (request.layer_count > 0 && !request.layer_ids.empty())
    throw option_error(option_name(&ReplayRequest::layer_count), "{} and {} exclude each other; give one of them",
                       option_name(&ReplayRequest::layer_ids));
  if (request.judge_by == JudgedBy::Layer && (request.compute_only || request.share_gpu))
    throw option_error(option_name(&ReplayRequest::judge_by), "{} layer needs whole layers, which {} and {} leave out",
                       option_name(&ReplayRequest::compute_only), option_name(&ReplayRequest::share_gpu));
  check_whole_step_options(request);
}

}  // namespace gem

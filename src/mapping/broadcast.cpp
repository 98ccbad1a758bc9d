#include "mapping/broadcast.hpp"

#include <type_traits>

namespace gem {
namespace {

// Nouns are taken apart by structured bindings, which must name every field: with one more field this does not compile
// until that is sent too.
struct Sender {
  const Communicator& world;

  template <class... Fields>
  void each(Fields&... fields) const {
    (send(fields), ...);
  }
  template <class T>
  void send(T& number) const {
    number = world.broadcast(number);
  }
  void send(std::string& text) const { world.broadcast(text); }
  template <class T>
  void send(std::vector<T>& values) const {
    static_assert(std::is_trivially_copyable_v<T>);  // it goes as bytes
    world.broadcast(values);
  }
  template <class T>
  void send(Matrix<T>& matrix) const {
    std::size_t rows = matrix.rows(), columns = matrix.columns();
    each(rows, columns);
    if (!world.is_root()) matrix = Matrix<T>(rows, columns);
    send(matrix.values());
  }
  template <class T>
  void send(Cube<T>& cube) const {
    std::size_t planes = cube.planes(), rows = cube.rows(), columns = cube.columns();
    each(planes, rows, columns);
    if (!world.is_root()) cube = Cube<T>(planes, rows, columns);
    send(cube.values());
  }
  void send(ExpertShape& shape) const {
    auto& [hidden_size, intermediate_size] = shape;
    each(hidden_size, intermediate_size);
  }
  void send(LoadCosts& costs) const {
    auto& [last_tile_rows, row_s, bends] = costs;
    each(last_tile_rows, row_s, bends);
  }
  void send(DeviceDescription& device) const {
    auto& [kind, name, hostname, uuid, rank, emulated_slowdown] = device;
    each(kind, name, hostname, uuid, rank, emulated_slowdown);
  }
  void send(std::vector<DeviceDescription>& devices) const {
    std::size_t count = devices.size();
    send(count);
    devices.resize(count);
    for (DeviceDescription& device : devices) send(device);
  }
  void send(PairExchange& exchange) const {
    auto& [transport, latency_s, bytes_per_s] = exchange;
    each(transport, latency_s, bytes_per_s);
  }
};

}  // namespace

void broadcast(const Communicator& world, LatencyProfile& profile) {
  auto& [model, device_kind, weight_dtype, expert, tile_tokens, experts_per_device, rule, devices, points, median_s,
         p95_s, samples_s, settled, sm_clock_hz, power_w, temperature_c, throttle_reasons, drift, exchange] = profile;
  Sender{world}.each(model, device_kind, weight_dtype, expert, tile_tokens, experts_per_device, rule, devices, points,
                     median_s, p95_s, samples_s, settled, sm_clock_hz, power_w, temperature_c, throttle_reasons, drift,
                     exchange);
}

void broadcast(const Communicator& world, LoadTrace& trace) {
  auto& [model, task, phase, part, top_k, tokens_per_step, layer_ids, counts] = trace;
  Sender{world}.each(model, task, phase, part, top_k, tokens_per_step, layer_ids, counts);
}

}  // namespace gem

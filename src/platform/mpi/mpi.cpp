#include "platform/mpi/mpi.hpp"

#include <errno.h>  // program_invocation_short_name
#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/failure.hpp"
#include "platform/mpi/launch.hpp"
#include "platform/mpi/mpi_call.hpp"
#include "platform/mpi/rank_lost.hpp"

namespace gem {
namespace {

// From here on ranks meet first, resting, and then look after the transfer all the time.
constexpr std::size_t large_bytes = std::size_t{1} << 20;

}  // namespace

void check_mpi(int status, const char* call) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(status, text, &length);
  throw SystemError(fmt::format("{} failed: {}", call, std::string_view(text, static_cast<std::size_t>(length))));
}

bool mpi_has_started() {
  int started = 0;
  MPI_Initialized(&started);
  return started != 0;
}

MpiEnvironment::MpiEnvironment(int& argc, char**& argv) {
  // Who has nobody to talk to would still wait for all of MPI's parts to be loaded, which takes longer than all else of
  // a short search.
  if (is_started_alone([](const char* name) { return std::getenv(name); })) return;
  // Debian and Ubuntu switch off all of Open MPI's one-sided communication that works over TCP between hosts
  // (openmpi-mca-params.conf: osc = ^ucx,pt2pt), without which windows can't be made there. A setting of the user's
  // stays.
  setenv("OMPI_MCA_osc", "^ucx", 0);
  const BlockingCall guard("MPI_Init");
  int provided = 0;
  check_mpi(MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided), "MPI_Init_thread");
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler");
  start_roll_call();
}

namespace {

/// Says who doesn't come to the end, which MPI_Finalize would wait for without a name.
void meet_at_the_end() {
  try {
    Communicator::world().barrier();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program_invocation_short_name, error.what());
    end_all_ranks(static_cast<int>(ExitCode::System));
  }
}

}  // namespace

MpiEnvironment::~MpiEnvironment() {
  if (!mpi_has_started()) return;
  meet_at_the_end();
  stop_roll_call();
  const BlockingCall guard("MPI_Finalize");
  MPI_Finalize();
}

Communicator::Communicator(MPI_Comm handle) : handle_(handle) {
  check_mpi(MPI_Comm_rank(handle_, &rank_), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(handle_, &size_), "MPI_Comm_size");
}

Communicator Communicator::world() {
  return mpi_has_started() ? Communicator(MPI_COMM_WORLD) : Communicator();
}

Communicator Communicator::self() {
  return Communicator();
}

bool Communicator::is_trivial() const {
  if (is_alone()) sign_of_life();
  return is_alone();
}

void Communicator::barrier(double patience_s) const {
  if (is_trivial()) return;
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibarrier(handle_, &request), "MPI_Ibarrier");
  complete(request, handle_, "MPI_Ibarrier", Resting::Yes, patience_s);
}

void Communicator::throw_if_any(ExitCode code, const std::string& message) const {
  const bool failed = code != ExitCode::Good;
  const int first = min(failed ? rank_ : size_);
  if (first == size_) return;
  int shared_code = static_cast<int>(code);
  broadcast_values(&shared_code, 1, MPI_INT, first);
  std::uint64_t length = message.size();
  broadcast_values(&length, 1, MPI_UINT64_T, first);
  std::string text = message;
  text.resize(length);
  broadcast_values(text.data(), static_cast<int>(length), MPI_CHAR, first);
  throw AgreedError(static_cast<ExitCode>(shared_code), text);
}

void Communicator::on_all(const std::function<void()>& work) const {
  Failure failure{ExitCode::Good, ""};
  try {
    work();
  } catch (const RankLostError&) {
    throw;
  } catch (const std::bad_alloc&) {
    failure = {ExitCode::System, fmt::format("rank {} ran out of memory", rank_)};
  } catch (...) {
    failure = current_failure();
  }
  throw_if_any(failure.code, failure.message);
}

void Communicator::on_root(const std::function<void()>& work) const {
  on_all([&] {
    if (is_root()) work();
  });
}

void Communicator::broadcast_values(void* values, int count, MPI_Datatype type, int root, Resting resting) const {
  if (is_trivial()) return;
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ibcast(values, count, type, root, handle_, &request), "MPI_Ibcast");
  complete(request, handle_, "MPI_Ibcast", resting);
}

void Communicator::all_reduce_values(const void* value, void* result, MPI_Datatype type, MPI_Op operation) const {
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallreduce(value, result, 1, type, operation, handle_, &request), "MPI_Iallreduce");
  complete(request, handle_, "MPI_Iallreduce");
}

void Communicator::all_gather_values(const void* value, void* values, MPI_Datatype type) const {
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Iallgather(value, 1, type, values, 1, type, handle_, &request), "MPI_Iallgather");
  complete(request, handle_, "MPI_Iallgather");
}

void Communicator::gather_values(const void* values, std::size_t count, void* all, const GatherLayout& layout,
                                 MPI_Datatype type) const {
  const MpiCall inside;
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Igatherv(values, static_cast<int>(count), type, all, layout.counts.data(), layout.offsets.data(), type,
                         0, handle_, &request),
            "MPI_Igatherv");
  complete(request, handle_, "MPI_Igatherv", layout.total > large_bytes ? Resting::No : Resting::Yes);
}

void Communicator::broadcast_bytes(void* data, std::size_t byte_count) const {
  // MPI counts are int: large arrays go in pieces.
  constexpr std::size_t piece = std::size_t{1} << 30;
  if (byte_count > large_bytes) barrier();
  for (std::size_t begin = 0; begin < byte_count; begin += piece)
    broadcast_values(static_cast<char*>(data) + begin, static_cast<int>(std::min(piece, byte_count - begin)), MPI_BYTE,
                     0, byte_count > large_bytes ? Resting::No : Resting::Yes);
}

void Communicator::broadcast(std::string& text) const {
  text.resize(static_cast<std::size_t>(broadcast(static_cast<std::uint64_t>(text.size()))));
  broadcast_bytes(text.data(), text.size());
}

Communicator::GatherLayout Communicator::gather_layout(std::size_t count) const {
  GatherLayout layout;
  layout.counts = all_gather(static_cast<std::int32_t>(count));
  std::size_t total = 0;
  for (int part : layout.counts) {
    layout.offsets.push_back(static_cast<int>(total));
    total += static_cast<std::size_t>(part);
  }
  layout.total = total;
  return layout;
}

std::vector<std::string> Communicator::gather(const std::string& text) const {
  const std::vector<std::int32_t> lengths = all_gather(static_cast<std::int32_t>(text.size()));
  const std::vector<char> all = gather(std::span<const char>(text.data(), text.size()));
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (std::size_t r = 0; is_root() && r < lengths.size(); ++r) {
    const auto length = static_cast<std::size_t>(lengths[r]);
    texts.emplace_back(all.data() + begin, length);
    begin += length;
  }
  return texts;
}

void Communicator::exchange_rows(std::span<const float> sent, std::span<const std::int32_t> send_counts,
                                 std::span<float> received, std::span<const std::int32_t> receive_counts,
                                 std::size_t row_size) const {
  if (is_alone()) {
    std::ranges::copy(sent, received.begin());
    return;
  }
  const auto offsets_of = [](std::span<const std::int32_t> counts) {
    std::vector<int> offsets(counts.size(), 0);
    for (std::size_t r = 1; r < counts.size(); ++r) offsets[r] = offsets[r - 1] + counts[r - 1];
    return offsets;
  };
  const std::vector<int> send_offsets = offsets_of(send_counts);
  const std::vector<int> receive_offsets = offsets_of(receive_counts);
  const MpiCall inside;
  MPI_Datatype row = MPI_DATATYPE_NULL;  // counts in rows stay far below the int limit
  check_mpi(MPI_Type_contiguous(static_cast<int>(row_size), MPI_FLOAT, &row), "MPI_Type_contiguous");
  check_mpi(MPI_Type_commit(&row), "MPI_Type_commit");
  MPI_Request request = MPI_REQUEST_NULL;
  check_mpi(MPI_Ialltoallv(sent.data(), send_counts.data(), send_offsets.data(), row, received.data(),
                           receive_counts.data(), receive_offsets.data(), row, handle_, &request),
            "MPI_Ialltoallv");
  MPI_Type_free(&row);  // once it is no longer in use
  complete(request, handle_, "MPI_Ialltoallv", Resting::No);
}

void Communicator::swap(int peer, std::span<const std::byte> sent, std::span<std::byte> received) const {
  constexpr int tag = 0;
  const MpiCall inside;
  MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
  check_mpi(MPI_Irecv(received.data(), static_cast<int>(received.size()), MPI_BYTE, peer, tag, handle_, &requests[0]),
            "MPI_Irecv");
  check_mpi(MPI_Isend(sent.data(), static_cast<int>(sent.size()), MPI_BYTE, peer, tag, handle_, &requests[1]),
            "MPI_Isend");
  for (MPI_Request& request : requests) complete(request, handle_, "MPI_Isend and MPI_Irecv", Resting::No);
}

Communicator::NodePlace Communicator::node_place() const {
  if (is_alone()) return {.rank = 0, .size = 1, .first_rank = 0};
  barrier();
  const BlockingCall guard("MPI_Comm_split_type");
  MPI_Comm node = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(handle_, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &node), "MPI_Comm_split_type");
  NodePlace place{};
  check_mpi(MPI_Comm_rank(node, &place.rank), "MPI_Comm_rank");
  check_mpi(MPI_Comm_size(node, &place.size), "MPI_Comm_size");
  std::int32_t first = rank_;
  check_mpi(MPI_Bcast(&first, 1, MPI_INT32_T, 0, node), "MPI_Bcast");
  place.first_rank = first;
  check_mpi(MPI_Comm_free(&node), "MPI_Comm_free");
  return place;
}

std::vector<std::int32_t> Communicator::nodes_of_ranks() const {
  std::vector<std::int32_t> nodes = all_gather(std::int32_t{node_place().first_rank});
  std::int32_t count = 0;
  for (std::size_t rank = 0; rank < nodes.size(); ++rank) {
    const auto first = static_cast<std::size_t>(nodes[rank]);
    nodes[rank] = first == rank ? count++ : nodes[first];
  }
  return nodes;
}

namespace {

MPI_Comm split(const Communicator& parent, int color) {
  parent.barrier();
  const BlockingCall guard("MPI_Comm_split");
  MPI_Comm part = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split(parent.handle(), color, parent.rank(), &part), "MPI_Comm_split");
  return part;
}

}  // namespace

OwnedCommunicator::OwnedCommunicator(const Communicator& parent, int color)
    : communicator_(parent.is_alone() ? Communicator() : Communicator(split(parent, color))) {}

OwnedCommunicator::~OwnedCommunicator() {
  if (communicator_.handle_ != MPI_COMM_NULL) MPI_Comm_free(&communicator_.handle_);
}

}  // namespace gem

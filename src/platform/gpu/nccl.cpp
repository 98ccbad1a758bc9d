#include "platform/gpu/nccl.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <chrono>
#include <future>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

void check_nccl(ncclResult_t status, const char* what) {
  if (status == ncclSuccess || status == ncclInProgress) return;
  throw SystemError(fmt::format("NCCL failed while {}: {} ({}); NCCL_DEBUG=WARN tells more", what,
                                ncclGetErrorString(status), ncclGetLastError(nullptr)));
}

NcclCommunicator::NcclCommunicator(const Communicator& ranks, double patience_s)
    : rank_(ranks.rank()), patience_s_(patience_s) {
  ncclUniqueId id{};
  ranks.on_root([&] { check_nccl(ncclGetUniqueId(&id), "making an id"); });
  std::vector<char> bytes(id.internal, id.internal + sizeof id.internal);
  ranks.broadcast(bytes);
  std::copy(bytes.begin(), bytes.end(), id.internal);
  ranks.on_all([&] {
    // Non-blocking, so that a peer that never comes cannot hold us for ever: every call is polled with a deadline.
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    check_nccl(ncclCommInitRankConfig(&handle_, ranks.size(), id, ranks.rank(), &config), "connecting the ranks");
    poll("connecting the ranks", [] { return true; });
  });
}

template <class Done>
void NcclCommunicator::poll(const char* what, Done done) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    for (;;) {
      ncclResult_t state = ncclSuccess;
      check_nccl(ncclCommGetAsyncError(handle_, &state), "asking for errors");
      check_nccl(state, what);
      if (state == ncclSuccess && done()) return;
      const double waited = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (waited > patience_s_)
        throw SystemError(fmt::format("rank {} waited {} while {}: a peer has died or hangs; look at its log", rank_,
                                      format_duration(waited), what));
    }
  } catch (...) {
    abort();  // before buffers are freed: cudaFree waits for a kernel that waits for its peer
    throw;
  }
}

NcclCommunicator::~NcclCommunicator() {
  abort();
}

void NcclCommunicator::abort() {
  if (handle_ == nullptr) return;
  // It stops the kernels at once, but returns only when all ranks of the host have called it (its service thread waits
  // for their connections), and a rank that failed alone must get on to MPI_Abort.
  std::packaged_task<void()> task([handle = std::exchange(handle_, nullptr)] { ncclCommAbort(handle); });
  const std::future<void> done = task.get_future();
  std::thread(std::move(task)).detach();
  done.wait_for(std::chrono::seconds(5));
}

void NcclCommunicator::exchange_rows(const void* sent, std::span<const std::int32_t> send_counts, void* received,
                                     std::span<const std::int32_t> receive_counts, std::size_t row_bytes,
                                     const CudaStream& stream) {
  const char* from = static_cast<const char*>(sent);
  char* to = static_cast<char*>(received);
  check_nccl(ncclGroupStart(), "starting an exchange");
  for (std::size_t peer = 0; peer < send_counts.size(); ++peer) {
    const std::size_t send_bytes = static_cast<std::size_t>(send_counts[peer]) * row_bytes;
    const std::size_t receive_bytes = static_cast<std::size_t>(receive_counts[peer]) * row_bytes;
    if (send_bytes > 0)
      check_nccl(ncclSend(from, send_bytes, ncclUint8, static_cast<int>(peer), handle_, stream.handle()), "sending");
    if (receive_bytes > 0)
      check_nccl(ncclRecv(to, receive_bytes, ncclUint8, static_cast<int>(peer), handle_, stream.handle()), "receiving");
    from += send_bytes;
    to += receive_bytes;
  }
  check_nccl(ncclGroupEnd(), "exchanging rows");
  poll("exchanging rows", [] { return true; });
}

void NcclCommunicator::exchange_pieces(std::span<const Piece> sent, std::span<const Piece> received,
                                       const CudaStream& stream) {
  check_nccl(ncclGroupStart(), "starting an exchange");
  for (const Piece& piece : sent)
    check_nccl(ncclSend(piece.bytes.data(), piece.bytes.size(), ncclUint8, piece.peer, handle_, stream.handle()),
               "sending");
  for (const Piece& piece : received)
    check_nccl(ncclRecv(piece.bytes.data(), piece.bytes.size(), ncclUint8, piece.peer, handle_, stream.handle()),
               "receiving");
  check_nccl(ncclGroupEnd(), "exchanging weights");
  poll("exchanging weights", [] { return true; });
}

void NcclCommunicator::wait(const CudaStream& stream) {
  poll("exchanging rows", [&] {
    const cudaError_t status = cudaStreamQuery(stream.handle());
    if (status != cudaErrorNotReady) check_cuda(status, "exchanging rows");
    return status == cudaSuccess;
  });
}

}  // namespace gem

#include "platform/mpi/transfers.hpp"

#include <algorithm>

#include "platform/mpi/mpi_call.hpp"

namespace gem {
namespace {

constexpr int tag = 0;

// MPI counts in int.
constexpr std::size_t greatest_piece = std::size_t{1} << 30;

template <class Bytes, class Begin>
void by_pieces(Bytes bytes, Begin begin) {
  while (!bytes.empty()) {
    const Bytes piece = bytes.first(std::min(bytes.size(), greatest_piece));
    begin(piece);
    bytes = bytes.subspan(piece.size());
  }
}

}  // namespace

void Transfers::send(int peer, std::span<const std::byte> bytes) {
  const MpiCall inside;
  by_pieces(bytes, [&](std::span<const std::byte> piece) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    check_mpi(
        MPI_Isend(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, peer, tag, channel_.get().handle(), &request),
        "MPI_Isend");
  });
}

void Transfers::receive(int peer, std::span<std::byte> bytes) {
  const MpiCall inside;
  by_pieces(bytes, [&](std::span<std::byte> piece) {
    MPI_Request& request = requests_.emplace_back(MPI_REQUEST_NULL);
    check_mpi(
        MPI_Irecv(piece.data(), static_cast<int>(piece.size()), MPI_BYTE, peer, tag, channel_.get().handle(), &request),
        "MPI_Irecv");
  });
}

bool Transfers::advance() {
  if (requests_.empty()) return true;
  const MpiCall inside;
  int done = 0;
  check_mpi(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done, MPI_STATUSES_IGNORE),
            "MPI_Testall");
  if (done != 0) requests_.clear();
  return done != 0;
}

void Transfers::wait() {
  for (MPI_Request& request : requests_)
    complete(request, channel_.get().handle(), "MPI_Isend and MPI_Irecv", Resting::No);
  requests_.clear();
}

}  // namespace gem

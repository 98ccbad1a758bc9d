#pragma once

#include <mpi.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/error.hpp"
#include "platform/mpi/roll_call.hpp"

namespace gem {

/// An error that every rank of the communicator throws alike, so that all can end in good order.
class AgreedError : public Error {
 public:
  using Error::Error;
};

/// MPI_Init and MPI_Finalize as a lifetime. One thread calls MPI. Nothing is started in a process that was started
/// alone: it is all of the job's ranks, and Communicator needs no MPI for one.
class MpiEnvironment {
 public:
  MpiEnvironment(int& argc, char**& argv);
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;
};

/// MPI's word for a type of C++.
template <class T>
MPI_Datatype mpi_type();
template <>
inline MPI_Datatype mpi_type<double>() {
  return MPI_DOUBLE;
}
template <>
inline MPI_Datatype mpi_type<float>() {
  return MPI_FLOAT;
}
template <>
inline MPI_Datatype mpi_type<std::int32_t>() {
  return MPI_INT32_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint32_t>() {
  return MPI_UINT32_T;
}
template <>
inline MPI_Datatype mpi_type<std::int64_t>() {
  return MPI_INT64_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint64_t>() {
  return MPI_UINT64_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint16_t>() {
  return MPI_UINT16_T;
}
template <>
inline MPI_Datatype mpi_type<std::uint8_t>() {
  return MPI_UINT8_T;
}
template <>
inline MPI_Datatype mpi_type<char>() {
  return MPI_CHAR;
}

/// Whether MPI_Init was called: not in a process that was started alone.
bool mpi_has_started();

/// Throws SystemError naming `call` and MPI's own text unless `status` is MPI_SUCCESS.
void check_mpi(int status, const char* call);

/// A group of ranks. Collectives return values; every rank must call them in the same order. Not owning: a handle that
/// is cheap to copy. A group of one rank never calls MPI.
class Communicator {
 public:
  /// All ranks of the job.
  static Communicator world();
  /// This rank alone.
  static Communicator self();

  int rank() const { return rank_; }
  int size() const { return size_; }
  bool is_root() const { return rank_ == 0; }
  bool is_alone() const { return size_ == 1; }
  /// MPI_COMM_NULL where MPI was not started.
  MPI_Comm handle() const { return handle_; }

  /// Waits for all ranks. No collective waits longer than the patience lasts for a rank that doesn't answer: then
  /// SystemError naming it.
  void barrier(double patience_s = patience().limit_s) const;

  /// Runs `work` on rank 0 alone; if it throws an Error there, every rank throws it as AgreedError.
  void on_root(const std::function<void()>& work) const;

  /// Runs `work` on every rank; if it throws an Error on any, every rank throws that of the lowest such rank.
  void on_all(const std::function<void()>& work) const;

  template <class T>
  T broadcast(T value) const {
    broadcast_values(&value, 1, mpi_type<T>(), 0);
    return value;
  }

  /// Rank 0's values on every rank, whatever size the others' vectors had.
  template <class T>
  void broadcast(std::vector<T>& values) const {
    values.resize(static_cast<std::size_t>(broadcast(static_cast<std::uint64_t>(values.size()))));
    broadcast_bytes(values.data(), values.size() * sizeof(T));
  }
  void broadcast(std::string& text) const;

  template <class T>
  T all_reduce(T value, MPI_Op operation) const {
    if (is_trivial()) return value;
    T result{};
    all_reduce_values(&value, &result, mpi_type<T>(), operation);
    return result;
  }
  /// Not of unsigned numbers, which MPICH 4.0 orders as if they had a sign.
  template <class T>
  requires std::is_signed_v<T> T min(T value)
  const { return all_reduce(value, MPI_MIN); }
  template <class T>
  requires std::is_signed_v<T> T max(T value)
  const { return all_reduce(value, MPI_MAX); }
  template <class T>
  T sum(T value) const {
    return all_reduce(value, MPI_SUM);
  }

  /// Every rank's value, by rank, on every rank.
  template <class T>
  std::vector<T> all_gather(T value) const {
    if (is_trivial()) return {value};
    std::vector<T> values(static_cast<std::size_t>(size_));
    all_gather_values(&value, values.data(), mpi_type<T>());
    return values;
  }

  /// Every rank's values one after the other by rank, on rank 0; empty elsewhere. Ranks may give different numbers.
  template <class T>
  std::vector<T> gather(std::span<const T> values) const {
    if (is_trivial()) return {values.begin(), values.end()};
    const GatherLayout layout = gather_layout(values.size());
    std::vector<T> all(is_root() ? layout.total : 0);
    gather_values(values.data(), values.size(), all.data(), layout, mpi_type<T>());
    return all;
  }

  /// Every rank's text, by rank, on rank 0; empty elsewhere.
  std::vector<std::string> gather(const std::string& text) const;

  /// Rows of `row_size` floats to and from every rank: send_counts[rank] of them in the order of ranks, and so back.
  void exchange_rows(std::span<const float> sent, std::span<const std::int32_t> send_counts, std::span<float> received,
                     std::span<const std::int32_t> receive_counts, std::size_t row_size) const;

  /// Sends bytes to `peer` and receives as many from it, which calls it too.
  void swap(int peer, std::span<const std::byte> sent, std::span<std::byte> received) const;

  /// This rank's number among the ranks of its own host, how many they are, and the first of them.
  struct NodePlace {
    int rank;
    int size;
    int first_rank;
  };
  NodePlace node_place() const;
  int node_rank() const { return node_place().rank; }
  /// The node of every rank, by rank, on every rank: ranks that share memory have one number, counted from 0 in the
  /// order of their first ranks.
  std::vector<std::int32_t> nodes_of_ranks() const;

 private:
  friend class OwnedCommunicator;
  Communicator() = default;  // of this rank alone
  bool is_trivial() const;   // a collective of one rank, which just tells other groups' ranks that this one lives
  explicit Communicator(MPI_Comm handle);
  struct GatherLayout {
    std::vector<int> counts;
    std::vector<int> offsets;
    std::size_t total;
  };
  GatherLayout gather_layout(std::size_t count) const;
  void broadcast_values(void* values, int count, MPI_Datatype type, int root, Resting resting = Resting::Yes) const;
  void all_reduce_values(const void* value, void* result, MPI_Datatype type, MPI_Op operation) const;
  void all_gather_values(const void* value, void* values, MPI_Datatype type) const;
  void gather_values(const void* values, std::size_t count, void* all, const GatherLayout& layout,
                     MPI_Datatype type) const;
  void broadcast_bytes(void* data, std::size_t byte_count) const;
  void throw_if_any(ExitCode code, const std::string& message) const;

  MPI_Comm handle_ = MPI_COMM_NULL;
  int rank_ = 0;
  int size_ = 1;
};

/// Some of a communicator's ranks, as a group of its own for as long as this lives.
class OwnedCommunicator {
 public:
  /// Ranks of equal `color` make a group, in their order. Collective over `parent`.
  OwnedCommunicator(const Communicator& parent, int color);
  ~OwnedCommunicator();
  OwnedCommunicator(const OwnedCommunicator&) = delete;
  OwnedCommunicator& operator=(const OwnedCommunicator&) = delete;

  const Communicator& get() const { return communicator_; }

 private:
  Communicator communicator_;
};

}  // namespace gem

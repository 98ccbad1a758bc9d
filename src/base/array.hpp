#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

namespace gem {

/// Dense row-major [rows, columns].
template <class T>
class Matrix {
 public:
  Matrix() = default;
  Matrix(std::size_t rows, std::size_t columns, T value = T{})
      : rows_(rows), columns_(columns), values_(rows * columns, value) {}

  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  T& operator()(std::size_t row, std::size_t column) { return values_[row * columns_ + column]; }
  const T& operator()(std::size_t row, std::size_t column) const { return values_[row * columns_ + column]; }
  std::span<T> row(std::size_t index) { return {values_.data() + index * columns_, columns_}; }
  std::span<const T> row(std::size_t index) const { return {values_.data() + index * columns_, columns_}; }
  std::vector<T>& values() { return values_; }
  const std::vector<T>& values() const { return values_; }
  bool operator==(const Matrix&) const = default;

 private:
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::vector<T> values_;
};

/// Dense row-major [planes, rows, columns].
template <class T>
class Cube {
 public:
  Cube() = default;
  Cube(std::size_t planes, std::size_t rows, std::size_t columns, T value = T{})
      : planes_(planes), rows_(rows), columns_(columns), values_(planes * rows * columns, value) {}

  std::size_t planes() const { return planes_; }
  std::size_t rows() const { return rows_; }
  std::size_t columns() const { return columns_; }
  T& operator()(std::size_t plane, std::size_t row, std::size_t column) {
    return values_[(plane * rows_ + row) * columns_ + column];
  }
  const T& operator()(std::size_t plane, std::size_t row, std::size_t column) const {
    return values_[(plane * rows_ + row) * columns_ + column];
  }
  std::span<T> row(std::size_t plane, std::size_t index) {
    return {values_.data() + (plane * rows_ + index) * columns_, columns_};
  }
  std::span<const T> row(std::size_t plane, std::size_t index) const {
    return {values_.data() + (plane * rows_ + index) * columns_, columns_};
  }
  std::vector<T>& values() { return values_; }
  const std::vector<T>& values() const { return values_; }
  bool operator==(const Cube&) const = default;

 private:
  std::size_t planes_ = 0;
  std::size_t rows_ = 0;
  std::size_t columns_ = 0;
  std::vector<T> values_;
};

}  // namespace gem

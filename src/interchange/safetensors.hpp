#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "interchange/number_array.hpp"
#include "platform/file_system/input_file.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {

/// A tensor of a safetensors file.
struct SafetensorsTensor {
  std::string name;
  std::string dtype;  ///< "BF16", "I64", ...
  std::vector<std::size_t> extents;
  std::uint64_t begin = 0;  ///< of its bytes, counted from the first byte after the header
  std::uint64_t end = 0;
  JsonKeySpan name_span{};  ///< of its name in the header's text
};

/// The header of a safetensors file (github.com/huggingface/safetensors, README "Format"): 8 bytes of length, then JSON
/// {"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}, then the tensors' bytes without
/// gaps.
struct SafetensorsHeader {
  std::string text;                        ///< the JSON with the spaces that pad it
  std::vector<SafetensorsTensor> tensors;  ///< in the order of the header
  std::vector<std::string> notes;          ///< the texts of "__metadata__"

  std::uint64_t data_begin() const { return 8 + text.size(); }
};

/// Reads and checks a header: offsets must lie in the file, leave no gap and fit type and shape. DataError naming the
/// file and the tensor otherwise.
SafetensorsHeader read_safetensors_header(const InputFile& file);

/// The numbers of a tensor. DataError for a type that holds none that we can read.
NumberArray read_numbers(const InputFile& file, const SafetensorsHeader& header, const SafetensorsTensor& tensor);

/// The 8 bytes of length and the text.
std::string safetensors_prefix(const std::string& header_text);

}  // namespace gem

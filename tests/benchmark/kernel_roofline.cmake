# The roofline benchmark of the kernels; included where GEM_GPU is on.
add_executable(kernel_roofline ${CMAKE_CURRENT_LIST_DIR}/kernel_roofline.cu)
set_target_properties(kernel_roofline PROPERTIES
  CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON CUDA_ARCHITECTURES "${GEM_CUDA_ARCHITECTURES}")
target_link_libraries(kernel_roofline PRIVATE gem_kernels)

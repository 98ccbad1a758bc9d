# Finds the headers of cuDNN and of its C++ frontend: target cuDNNFrontend::headers. The library itself is loaded when a
# program runs. Looks in CUDNN_ROOT, beside the CUDA toolkit, in the system's folders and in CMAKE_PREFIX_PATH; Python's
# packages nvidia-cudnn-cu13 and nvidia-cudnn-frontend have both: -DCMAKE_PREFIX_PATH="SITE;SITE/nvidia/cudnn".
find_path(CUDNN_INCLUDE_DIR cudnn.h HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${CUDAToolkit_LIBRARY_ROOT} PATH_SUFFIXES include)
find_path(CUDNN_FRONTEND_INCLUDE_DIR cudnn_frontend.h HINTS ${CUDNN_ROOT} ENV CUDNN_ROOT ${CUDAToolkit_LIBRARY_ROOT}
          PATH_SUFFIXES include)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(cuDNNFrontend REQUIRED_VARS CUDNN_INCLUDE_DIR CUDNN_FRONTEND_INCLUDE_DIR)
if(cuDNNFrontend_FOUND AND NOT TARGET cuDNNFrontend::headers)
  add_library(cuDNNFrontend::headers INTERFACE IMPORTED)
  target_include_directories(cuDNNFrontend::headers SYSTEM INTERFACE ${CUDNN_FRONTEND_INCLUDE_DIR} ${CUDNN_INCLUDE_DIR})
  target_compile_definitions(cuDNNFrontend::headers INTERFACE NV_CUDNN_FRONTEND_USE_DYNAMIC_LOADING
                             CUDNN_FRONTEND_SKIP_JSON_LIB)
endif()
mark_as_advanced(CUDNN_INCLUDE_DIR CUDNN_FRONTEND_INCLUDE_DIR)

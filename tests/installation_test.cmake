# What cmake --install leaves works from where it lies: programs, their manual pages, gem-analysis, data, completion.
file(REMOVE_RECURSE ${PREFIX})
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${PREFIX} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
foreach(program profile trace map verify deploy batch adapt analysis)
  if(program STREQUAL analysis AND NOT EXISTS ${PREFIX}/share/man/man1/gem-analysis.1)
    continue()  # no Python on this machine
  endif()
  execute_process(COMMAND ${PREFIX}/bin/gem-${program} --version OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
  if(NOT EXISTS ${PREFIX}/share/bash-completion/completions/gem-${program})
    message(FATAL_ERROR "gem-${program} has no completion")
  endif()
  file(READ ${PREFIX}/share/man/man1/gem-${program}.1 page)
  foreach(part ".TH \"GEM-" ".SH NAME" ".SH SYNOPSIS" "GEM 0.")
    string(FIND "${page}" "${part}" place)
    if(place LESS 0)
      message(FATAL_ERROR "gem-${program}.1 has no ${part}:\n${page}")
    endif()
  endforeach()
  if(program STREQUAL analysis AND NOT EXISTS ${PREFIX}/share/man/man1/gem-analysis-report.1)
    message(FATAL_ERROR "a command of gem-analysis has no manual page")
  endif()
endforeach()
foreach(file man/man1/gem-trace-batch.1 man/man1/gem-deploy-permute.1 gem/jobs/data/models.csv gem/jobs/plan24.toml
             gem/jobs/dependencies.sh gem/slurm/common.sh gem/slurm/pipeline.sh)
  if(NOT EXISTS ${PREFIX}/share/${file})
    message(FATAL_ERROR "share/${file} wasn't installed")
  endif()
endforeach()
execute_process(COMMAND ${PREFIX}/bin/gem-analysis --help RESULT_VARIABLE code OUTPUT_QUIET ERROR_QUIET)
if(NOT code EQUAL 0 AND NOT code EQUAL 127)  # 127: no Python on this machine
  message(FATAL_ERROR "gem-analysis ended with ${code}")
endif()
execute_process(COMMAND ${PREFIX}/bin/gem-batch ${PREFIX}/share/gem/jobs/plan24.toml --dry-run
                OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
# What Python compiled goes with Debian's package, nothing else.
set(compiled ${PREFIX}/debian/usr/share/gem/analysis)
file(WRITE ${compiled}/__pycache__/a.pyc "")
file(WRITE ${compiled}/a.py "")
execute_process(COMMAND ${CMAKE_COMMAND} -E env DPKG_ROOT=${PREFIX}/debian ${CMAKE_CURRENT_LIST_DIR}/../src/cmake/prerm remove
                COMMAND_ERROR_IS_FATAL ANY)
if(EXISTS ${compiled}/__pycache__ OR NOT EXISTS ${compiled}/a.py)
  message(FATAL_ERROR "prerm left __pycache__, or removed more")
endif()
file(READ ${BUILD_DIR}/CPackConfig.cmake packaging)
if(NOT packaging MATCHES "src/cmake/prerm")
  message(FATAL_ERROR "the package has no prerm")
endif()
# The policy's library is found by CMake and by the Python package, each from where it lies.
set(user ${PREFIX}/user)
file(WRITE ${user}/CMakeLists.txt "cmake_minimum_required(VERSION 3.22)
project(user C)
find_package(gem 0.2 REQUIRED)
add_executable(user user.c)
target_link_libraries(user gem::policy)
")
file(WRITE ${user}/user.c "#include <gem_policy.h>
int main(void) { return gem_policy_abi() == GEM_POLICY_ABI ? 0 : 1; }
")
execute_process(COMMAND ${CMAKE_COMMAND} -S ${user} -B ${user}/build -G ${GENERATOR} -DCMAKE_PREFIX_PATH=${PREFIX} OUTPUT_QUIET
                COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} --build ${user}/build OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${CMAKE_COMMAND} -E env "LD_PRELOAD=${PRELOADED}" ${user}/build/user COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND /usr/bin/python3 -c "import numpy" RESULT_VARIABLE no_numpy OUTPUT_QUIET ERROR_QUIET)
if(no_numpy EQUAL 0)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PYTHONPATH=${PREFIX}/share/gem/policy PYTHONDONTWRITEBYTECODE=1
                          "LD_PRELOAD=${PRELOADED}" /usr/bin/python3 -c "from gem_policy.library import Library; Library()"
                  COMMAND_ERROR_IS_FATAL ANY)
endif()

# Writes the revision that is being built into a source file, only where it has changed. Run as:
# cmake -DSOURCE_DIR=... -DOUTPUT=FILE.cpp -P revision.cmake
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --show-toplevel
                OUTPUT_VARIABLE top OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND git -C ${SOURCE_DIR} describe --always --dirty --abbrev=10 --exclude=*
                OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT top STREQUAL SOURCE_DIR OR revision STREQUAL "")
  set(revision "unknown (not built from a git repository)")
endif()
set(text "namespace gem {\nextern const char* const built_revision;\nconst char* const built_revision = \"${revision}\";\n}  // namespace gem\n")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE ${OUTPUT} "${text}")
endif()

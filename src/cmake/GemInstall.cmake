# cmake --install: programs, gem-analysis, data, scripts, completion of bash, manual pages; and packages of them (cpack).
include(GNUInstallDirs)
set(gem_share ${CMAKE_INSTALL_DATADIR}/gem)
set(gem_programs profile trace map verify deploy batch adapt)

foreach(program ${gem_programs})
  install(TARGETS gem-${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(FILES ${CMAKE_SOURCE_DIR}/jobs/completion.bash RENAME gem-${program}
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
endforeach()

install(FILES ${CMAKE_SOURCE_DIR}/jobs/completion.bash RENAME gem-analysis
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# What draws results is Python and lies in a folder of its own; its launcher finds itself through the link.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/analysis/ DESTINATION ${gem_share}/analysis USE_SOURCE_PERMISSIONS
        PATTERN __pycache__ EXCLUDE PATTERN build EXCLUDE PATTERN *.egg-info EXCLUDE REGEX "/analysis/pictures$" EXCLUDE)
# What engines load: the library, its header, the Python package, and what CMake needs to find them.
install(TARGETS gem_policy EXPORT gem LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${CMAKE_SOURCE_DIR}/src/policy/gem_policy.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT gem NAMESPACE gem:: FILE gem-config.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gem)
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/gem-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/gem-config-version.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/gem)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/policy/ DESTINATION ${gem_share}/policy
        PATTERN __pycache__ EXCLUDE PATTERN build EXCLUDE PATTERN *.egg-info EXCLUDE)
# As in the source tree, so that examples and scripts find each other.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/jobs/data DESTINATION ${gem_share}/jobs)
install(FILES ${CMAKE_SOURCE_DIR}/jobs/one_host.toml ${CMAKE_SOURCE_DIR}/jobs/plan24.toml
              ${CMAKE_SOURCE_DIR}/jobs/two_models.toml
              ${CMAKE_SOURCE_DIR}/jobs/dependencies.sh
        DESTINATION ${gem_share}/jobs)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/slurm/ DESTINATION ${gem_share}/slurm USE_SOURCE_PERMISSIONS
        PATTERN site.env EXCLUDE)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE ${CMAKE_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# Who passes programs on that hold HDF5's archive (GEM_STATIC_HDF5) passes on its notice.
find_file(GEM_HDF5_NOTICE NAMES copyright PATHS /usr/share/doc/libhdf5-dev NO_DEFAULT_PATH)
mark_as_advanced(GEM_HDF5_NOTICE)
if(GEM_HDF5_ARCHIVE AND GEM_HDF5_NOTICE)
  install(FILES ${GEM_HDF5_NOTICE} RENAME copyright.hdf5 DESTINATION ${CMAKE_INSTALL_DOCDIR})
endif()
install(CODE "
  set(prefix \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}\")
  file(RELATIVE_PATH launcher \"\${prefix}/${CMAKE_INSTALL_BINDIR}\" \"\${prefix}/${gem_share}/analysis/gem-analysis\")
  file(CREATE_LINK \"\${launcher}\" \"\${prefix}/${CMAKE_INSTALL_BINDIR}/gem-analysis\" SYMBOLIC)
  # Manual pages say what --help says: of each program, and of each command of those that have some.
  file(MAKE_DIRECTORY \"\${prefix}/${CMAKE_INSTALL_MANDIR}/man1\")
  foreach(name ${gem_programs} analysis)
    set(program \"\${prefix}/${CMAKE_INSTALL_BINDIR}/gem-\${name}\")
    if(NOT name STREQUAL analysis)
      set(program ${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/gem-\${name})
    endif()
    execute_process(COMMAND \${program} --help OUTPUT_VARIABLE help RESULT_VARIABLE code ERROR_QUIET)
    if(name STREQUAL analysis AND NOT code EQUAL 0)
      continue()  # where there is no Python
    endif()
    set(commands \"\")
    # As Python writes them, too: further in, below a line of all of them.
    if(help MATCHES \"\\n(Commands|positional arguments):\\n((  [^\\n]*\\n)+)\")
      string(REGEX MATCHALL \"\\n +[a-z]+  \" commands \"\\n\${CMAKE_MATCH_2}\")
      string(REGEX REPLACE \"[\\n ]\" \"\" commands \"\${commands}\")
    endif()
    foreach(command \"\" \${commands})
      set(page gem-\${name})
      if(command)
        set(page \${page}-\${command})
      endif()
      execute_process(COMMAND ${CMAKE_SOURCE_DIR}/jobs/man_page.sh \${program} \${command}
                      OUTPUT_FILE \"\${prefix}/${CMAKE_INSTALL_MANDIR}/man1/\${page}.1\" COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
  endforeach()
")

# Packages: cpack -G DEB (or TGZ) in the build folder.
set(CPACK_PACKAGE_NAME gem-moe)
set(CPACK_PACKAGE_VENDOR "GEM")
set(CPACK_PACKAGE_CONTACT "GEM <https://arxiv.org/abs/2605.19945>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_RESOURCE_FILE_LICENSE ${CMAKE_SOURCE_DIR}/LICENSE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_CURRENT_LIST_DIR}/prerm)
# Beside the libraries: what starts ranks, and what gem-analysis is run by. `apt-get -f install` after `dpkg -i` brings no
# mere recommendations.
set(gem_launcher openmpi-bin)
if("${MPI_CXX_LIB_NAMES}" MATCHES mpich)
  set(gem_launcher mpich)
endif()
set(CPACK_DEBIAN_PACKAGE_DEPENDS "${gem_launcher}, python3 (>= 3.10), python3-numpy, python3-h5py, python3-jinja2")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-matplotlib")
include(CPack)

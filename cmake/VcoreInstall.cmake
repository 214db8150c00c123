# SPDX-License-Identifier: BSD-3-Clause
# What is installed: libraries, headers, .pc files, the CMake package.

include(CMakePackageConfigHelpers)
set(VCORE_CMAKEDIR "${CMAKE_INSTALL_LIBDIR}/cmake/vcore")
set(VCORE_PCDIR "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

# The way from the .pc file back to the prefix: ../.. or, with Debian's
# lib/<triplet>, ../../... Directories given as absolute paths stay absolute.
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
	set(VCORE_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
	set(VCORE_PC_LIBDIR "${CMAKE_INSTALL_LIBDIR}")
else()
	string(REGEX REPLACE "[^/]+" ".." _up "${VCORE_PCDIR}")
	set(VCORE_PC_PREFIX "\${pcfiledir}/${_up}")
	set(VCORE_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
endif()
if(IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
	set(VCORE_PC_INCLUDEDIR "${CMAKE_INSTALL_INCLUDEDIR}")
else()
	set(VCORE_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()

# vcore_install_pc(<file> <name> <description> <requires> <libs> <private>)
function(vcore_install_pc file name description requires libs private)
	set(PC_NAME "${name}")
	set(PC_DESCRIPTION "${description}")
	set(PC_REQUIRES "${requires}")
	set(PC_LIBS "${libs}")
	set(PC_LIBS_PRIVATE "${private}")
	configure_file("${PROJECT_SOURCE_DIR}/vcore.pc.in"
		"${PROJECT_BINARY_DIR}/${file}" @ONLY)
	install(FILES "${PROJECT_BINARY_DIR}/${file}"
		DESTINATION "${VCORE_PCDIR}" COMPONENT dev)
endfunction()

# vcore_install_part(<name> <description> <link flags of its own needs>)
function(vcore_install_part name description ldflags)
	if(description STREQUAL "")
		set(description "Optional part ${name} of libvirtcore")
	endif()
	list(JOIN ldflags " " ldflags)
	vcore_install_pc(vcore-${name}.pc "vcore-${name}" "${description}"
		"vcore = ${PROJECT_VERSION}" "-lvirtcore-${name}" "${ldflags}")
	install(TARGETS vcore_${name} EXPORT vcore_${name}
		LIBRARY COMPONENT lib NAMELINK_COMPONENT dev
		FILE_SET HEADERS COMPONENT dev)
	install(EXPORT vcore_${name} NAMESPACE vcore::
		FILE vcore-${name}Targets.cmake
		DESTINATION "${VCORE_CMAKEDIR}" COMPONENT dev)
endfunction()

install(TARGETS vcore vcore_static EXPORT vcore
	LIBRARY COMPONENT lib NAMELINK_COMPONENT dev
	ARCHIVE COMPONENT dev
	FILE_SET HEADERS COMPONENT dev)
install(EXPORT vcore NAMESPACE vcore:: FILE vcoreTargets.cmake
	DESTINATION "${VCORE_CMAKEDIR}" COMPONENT dev)
configure_package_config_file(
	"${PROJECT_SOURCE_DIR}/cmake/vcoreConfig.cmake.in"
	"${PROJECT_BINARY_DIR}/vcoreConfig.cmake"
	INSTALL_DESTINATION "${VCORE_CMAKEDIR}")
write_basic_package_version_file(
	"${PROJECT_BINARY_DIR}/vcoreConfigVersion.cmake"
	COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/vcoreConfig.cmake"
	"${PROJECT_BINARY_DIR}/vcoreConfigVersion.cmake"
	DESTINATION "${VCORE_CMAKEDIR}" COMPONENT dev)
vcore_install_pc(vcore.pc vcore "${PROJECT_DESCRIPTION}" ""
	"-lvirtcore" "-pthread")

# SPDX-License-Identifier: BSD-3-Clause
# Optional parts: optional/<name>/ becomes libvirtcore-<name>.so with a header,
# a map, a .pc file and a CMake component of its own. It sees include/ and its
# own folder, nothing of lib/.

# Add each optional/<name>/CMakeLists.txt; VCORE_PART_<NAME> is AUTO, ON, OFF.
macro(vcore_add_optional_parts)
	file(GLOB _parts CONFIGURE_DEPENDS
		"${PROJECT_SOURCE_DIR}/optional/*/CMakeLists.txt")
	foreach(_file IN LISTS _parts)
		cmake_path(GET _file PARENT_PATH _dir)
		add_subdirectory("${_dir}")
	endforeach()
	get_property(VCORE_PARTS GLOBAL PROPERTY VCORE_PARTS)
endmacro()

# vcore_optional(<name> SOURCES file... HEADERS file... [PKG module...]
#                [MAP file] [DESCRIPTION text]
#                [MACHINE_SOURCES file... MACHINE_SYMBOLS function...])
#
# Called from optional/<name>/CMakeLists.txt. HEADERS lie in include/vcore/ of
# that folder. PKG names the pkg-config modules it needs: the part is built
# only if all are there. MAP defaults to <name>.map. What stands behind
# MACHINE_ needs the layer `machine`, and is left out with VCORE_MACHINE=OFF.
function(vcore_optional name)
	cmake_parse_arguments(PARSE_ARGV 1 A ""
		"MAP;DESCRIPTION"
		"SOURCES;HEADERS;PKG;MACHINE_SOURCES;MACHINE_SYMBOLS")
	string(TOUPPER "${name}" NAME)
	set(VCORE_PART_${NAME} AUTO CACHE STRING
		"Optional part ${name}: AUTO (if its libraries are found), ON, OFF")
	if(NOT VCORE_PART_${NAME})
		vcore_note("optional ${name}: off")
		return()
	endif()
	set(deps "")
	if(A_PKG)
		find_package(PkgConfig REQUIRED)
		pkg_check_modules(VCORE_PKG_${NAME} IMPORTED_TARGET GLOBAL
			${A_PKG})
		if(NOT VCORE_PKG_${NAME}_FOUND)
			if(VCORE_PART_${NAME} STREQUAL "AUTO")
				vcore_note("optional ${name}: not built, needs ${A_PKG}")
				return()
			endif()
			message(FATAL_ERROR "optional part ${name} needs ${A_PKG}")
		endif()
		set(deps PkgConfig::VCORE_PKG_${NAME})
	endif()
	if(NOT A_MAP)
		set(A_MAP "${name}.map")
	endif()
	cmake_path(ABSOLUTE_PATH A_MAP)
	if(VCORE_MACHINE)
		list(APPEND A_SOURCES ${A_MACHINE_SOURCES})
	else()
		file(READ "${A_MAP}" text)
		foreach(symbol IN LISTS A_MACHINE_SYMBOLS)
			string(REPLACE "\t${symbol};\n" "" text "${text}")
		endforeach()
		set(A_MAP "${CMAKE_CURRENT_BINARY_DIR}/${name}.map")
		file(CONFIGURE OUTPUT "${A_MAP}" CONTENT "${text}" @ONLY)
	endif()
	vcore_existing(sources ${A_SOURCES})
	vcore_existing(headers ${A_HEADERS})

	set(here "${CMAKE_CURRENT_SOURCE_DIR}")
	add_library(vcore_part_${name} OBJECT ${sources})
	target_include_directories(vcore_part_${name} PRIVATE
		"${PROJECT_SOURCE_DIR}/include" "${here}/include" "${here}")
	target_link_libraries(vcore_part_${name} PRIVATE vcore_flags ${deps})

	add_library(vcore_${name} SHARED $<TARGET_OBJECTS:vcore_part_${name}>)
	add_library(vcore::${name} ALIAS vcore_${name})
	set_target_properties(vcore_${name} PROPERTIES
		OUTPUT_NAME virtcore-${name}
		EXPORT_NAME ${name}
		VERSION ${PROJECT_VERSION}
		SOVERSION ${VCORE_SOVERSION}
		LINKER_LANGUAGE C
		LINK_DEPENDS "${A_MAP}"
		LIBRARY_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}")
	target_link_options(vcore_${name} PRIVATE
		"LINKER:--version-script=${A_MAP}"
		LINKER:--no-undefined-version)
	if(NOT VCORE_INSTRUMENTED)
		target_link_options(vcore_${name} PRIVATE LINKER:-z,defs)
	endif()
	target_sources(vcore_${name} PUBLIC FILE_SET HEADERS
		BASE_DIRS "${here}/include" FILES ${headers})
	target_link_libraries(vcore_${name} PUBLIC vcore
		PRIVATE $<BUILD_INTERFACE:vcore_flags> ${deps})

	vcore_install_part(${name} "${A_DESCRIPTION}"
		"${VCORE_PKG_${NAME}_STATIC_LDFLAGS}")
	vcore_note("optional ${name}: built")
	set_property(GLOBAL APPEND PROPERTY VCORE_PARTS ${name})
endfunction()

# vcore_link_part(<target> <name>): the part's objects, for its unit tests.
function(vcore_link_part target name)
	string(TOUPPER "${name}" NAME)
	set(dir "${PROJECT_SOURCE_DIR}/optional/${name}")
	target_include_directories(${target} PRIVATE "${dir}/include" "${dir}")
	target_sources(${target} PRIVATE $<TARGET_OBJECTS:vcore_part_${name}>)
	if(TARGET PkgConfig::VCORE_PKG_${NAME})
		target_link_libraries(${target} PRIVATE
			PkgConfig::VCORE_PKG_${NAME})
	endif()
endfunction()

# vcore_note(text): a line of the configure summary.
function(vcore_note text)
	set_property(GLOBAL APPEND PROPERTY VCORE_SUMMARY "${text}")
endfunction()

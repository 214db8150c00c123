# SPDX-License-Identifier: BSD-3-Clause
# Layers: object libraries vcore_<layer>, with the rules of lib/layers.txt.

# Read lib/layers.txt: VCORE_ALL_LAYERS, VCORE_ALLOWED_<layer>,
# VCORE_HEADERS_<layer>.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
	"${PROJECT_SOURCE_DIR}/lib/layers.txt")
file(STRINGS "${PROJECT_SOURCE_DIR}/lib/layers.txt" _lines REGEX "^[a-z]")
set(VCORE_ALL_LAYERS "")
foreach(_line IN LISTS _lines)
	if(NOT _line MATCHES "^([a-z0-9_]+):([^:]*):?([^:]*)$")
		message(FATAL_ERROR "lib/layers.txt: cannot read '${_line}'")
	endif()
	set(_layer "${CMAKE_MATCH_1}")
	set(_headers "${CMAKE_MATCH_3}")
	separate_arguments(_allowed UNIX_COMMAND "${CMAKE_MATCH_2}")
	separate_arguments(_headers UNIX_COMMAND "${_headers}")
	list(APPEND VCORE_ALL_LAYERS "${_layer}")
	set(VCORE_ALLOWED_${_layer} "${_allowed}")
	set(VCORE_HEADERS_${_layer} "${_headers}")
endforeach()

# vcore_layer(<layer> SOURCES file...)
#
# Called from lib/<layer>/CMakeLists.txt. A file that is not there yet is
# skipped with a warning (an error if VCORE_WERROR), so that a half-written
# tree configures.
function(vcore_layer layer)
	cmake_parse_arguments(PARSE_ARGV 1 A "" "" "SOURCES")
	if(NOT layer IN_LIST VCORE_ALL_LAYERS)
		message(FATAL_ERROR "${layer} is not in lib/layers.txt")
	endif()
	vcore_existing(sources ${A_SOURCES})
	if(NOT sources)
		message(WARNING "layer ${layer} has no sources yet")
		return()
	endif()
	add_library(vcore_${layer} OBJECT ${sources})
	target_link_libraries(vcore_${layer} PRIVATE vcore_internal)
endfunction()

# vcore_existing(<var> file...): those that exist in the current folder.
function(vcore_existing var)
	set(found "")
	foreach(file IN LISTS ARGN)
		cmake_path(ABSOLUTE_PATH file)
		if(EXISTS "${file}")
			list(APPEND found "${file}")
		elseif(VCORE_WERROR)
			message(FATAL_ERROR "no such file: ${file}")
		else()
			message(WARNING "skipped, no such file: ${file}")
		endif()
	endforeach()
	set(${var} "${found}" PARENT_SCOPE)
endfunction()

# vcore_layer_closure(<var> layer...): these layers and all below them that
# are built, each once.
function(vcore_layer_closure var)
	set(todo ${ARGN} base)
	set(done "")
	while(todo)
		list(POP_FRONT todo layer)
		if(layer STREQUAL "all")
			list(APPEND todo ${VCORE_ALL_LAYERS})
		elseif(NOT layer IN_LIST done)
			list(APPEND done "${layer}")
			list(APPEND todo ${VCORE_ALLOWED_${layer}})
		endif()
	endwhile()
	set(built "")
	foreach(layer IN LISTS done)
		if(TARGET vcore_${layer})
			list(APPEND built "${layer}")
		endif()
	endforeach()
	set(${var} "${built}" PARENT_SCOPE)
endfunction()

# vcore_link_layers(<target> layer...): link their objects and all below.
function(vcore_link_layers target)
	vcore_layer_closure(layers ${ARGN})
	foreach(layer IN LISTS layers)
		target_sources(${target} PRIVATE
			$<TARGET_OBJECTS:vcore_${layer}>)
	endforeach()
endfunction()

# vcore_map_without(<map> <var> layer...): write a copy of the version script
# without the functions that the headers of these layers declare.
function(vcore_map_without map var)
	file(READ "${map}" text)
	set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${map}")
	foreach(layer IN LISTS ARGN)
		foreach(header IN LISTS VCORE_HEADERS_${layer})
			set(file "${PROJECT_SOURCE_DIR}/include/vcore/${header}")
			if(NOT EXISTS "${file}")
				continue()
			endif()
			file(READ "${file}" declarations)
			string(REGEX MATCHALL "VCORE_API[^(]*\\("
				declarations "${declarations}")
			foreach(one IN LISTS declarations)
				string(REGEX REPLACE ".*[^a-z0-9_](vcore_[a-z0-9_]+)[ \t\n]*\\($"
					"\\1" name "${one}")
				string(REPLACE "\t${name};\n" "" text "${text}")
			endforeach()
		endforeach()
	endforeach()
	set(copy "${PROJECT_BINARY_DIR}/vcore.map")
	file(CONFIGURE OUTPUT "${copy}" CONTENT "${text}" @ONLY)
	set(${var} "${copy}" PARENT_SCOPE)
endfunction()

function(vcore_summary)
	message(STATUS "vcore ${PROJECT_VERSION} for ${VCORE_ARCH}, "
		"${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}, "
		"${CMAKE_BUILD_TYPE}")
	vcore_layer_closure(layers all)
	list(SORT layers)
	list(JOIN layers " " layers)
	message(STATUS "  layers: ${layers}")
	get_property(lines GLOBAL PROPERTY VCORE_SUMMARY)
	foreach(line IN LISTS lines)
		message(STATUS "  ${line}")
	endforeach()
endfunction()

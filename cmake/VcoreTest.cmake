# SPDX-License-Identifier: BSD-3-Clause
# Tests: Check programs and scripts, labelled with their rig and layer.

set(VCORE_KVM_RUNNER "" CACHE STRING
	"Command put in front of tests of rig kvm (to run them in the lab)")
option(VCORE_SOAK "Run tests with the full counts, and give them the time" OFF)

# vcore_test(<layer> <name> [SOURCES file...] [RIG unit|kvm|lab]
#            [LAYERS layer...] [SUPPORT name...] [LIBS lib...]
#            [LABELS label...] [TIMEOUT seconds])
#
# Builds test_<layer>_<name> from tests/<layer>/test_<name>.c (or SOURCES) and
# adds it to ctest under that name. It is linked with the objects of the layer,
# of LAYERS, and of all layers below them; nothing else is compiled for it.
# SUPPORT x links tests/support/x.c. If <layer> is an optional part, that
# part's objects are linked, and the .so unless LAYERS are given; if it is
# "api", only the .so is linked and only public headers are found.
function(vcore_test layer name)
	cmake_parse_arguments(PARSE_ARGV 2 A ""
		"RIG;TIMEOUT" "SOURCES;LAYERS;SUPPORT;LIBS;LABELS")
	string(REGEX REPLACE "^test_" "" name "${name}")
	if(NOT A_SOURCES)
		set(A_SOURCES "test_${name}.c")
	endif()
	set(target "test_${layer}_${name}")
	foreach(needed IN LISTS A_LAYERS)
		if(NOT TARGET vcore_${needed} AND NOT VCORE_MACHINE)
			return()
		endif()
	endforeach()
	vcore_existing(sources ${A_SOURCES})
	if(NOT sources)
		return()
	endif()

	add_executable(${target} ${sources})
	target_link_libraries(${target} PRIVATE ${A_LIBS} PkgConfig::CHECK)
	if(layer STREQUAL "api")
		target_link_libraries(${target} PRIVATE vcore vcore_flags)
	elseif(layer IN_LIST VCORE_ALL_LAYERS OR A_LAYERS)
		set(below ${A_LAYERS})
		if(layer IN_LIST VCORE_ALL_LAYERS)
			list(PREPEND below ${layer})
		endif()
		vcore_link_layers(${target} ${below})
		target_link_libraries(${target} PRIVATE vcore_internal)
	else()
		target_link_libraries(${target} PRIVATE vcore vcore_internal)
	endif()
	if(TARGET vcore_part_${layer})
		vcore_link_part(${target} ${layer})
	endif()
	if(A_SUPPORT)
		list(TRANSFORM A_SUPPORT PREPEND vcore_support_)
		list(JOIN A_SUPPORT "," support)
		target_link_libraries(${target} PRIVATE
			"$<LINK_GROUP:RESCAN,${support}>")
	endif()
	target_link_libraries(${target} PRIVATE vcore_test_headers)
	if(NOT TARGET tests_${layer})
		add_custom_target(tests_${layer})
	endif()
	add_dependencies(tests_${layer} ${target})

	if(A_RIG STREQUAL "kvm")
		separate_arguments(runner UNIX_COMMAND "${VCORE_KVM_RUNNER}")
	endif()
	add_test(NAME ${target} COMMAND ${runner} $<TARGET_FILE:${target}>)
	vcore_test_properties(${target} ${layer} "${A_RIG}" "${A_TIMEOUT}"
		${A_LABELS})
endfunction()

# vcore_test_script(<layer> <name> COMMAND command...
#                   [RIG unit|kvm|lab] [LABELS label...] [TIMEOUT seconds])
#
# A test that is not a program of ours; exit status 77 means skipped.
function(vcore_test_script layer name)
	cmake_parse_arguments(PARSE_ARGV 2 A ""
		"RIG;TIMEOUT" "COMMAND;LABELS")
	add_test(NAME ${layer}_${name} COMMAND ${A_COMMAND}
		WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
	vcore_test_properties(${layer}_${name} ${layer} "${A_RIG}"
		"${A_TIMEOUT}" ${A_LABELS})
endfunction()

function(vcore_test_properties test layer rig timeout)
	if(NOT rig)
		set(rig unit)
	elseif(NOT rig MATCHES "^(unit|kvm|lab)$")
		message(FATAL_ERROR "${test}: RIG is unit, kvm or lab")
	endif()
	if(NOT timeout)
		set(timeout 60)
	endif()
	# The numbers are a quiet machine's. A slow and busy one needs more, and
	# it costs nothing unless something hangs.
	math(EXPR timeout "${timeout} * 4")
	if(VCORE_INSTRUMENTED)
		math(EXPR timeout "${timeout} * 3")
	endif()
	set(soak "")
	if(VCORE_SOAK)
		math(EXPR timeout "${timeout} * 30")
		set(soak "VCORE_SOAK=1;")
	endif()
	# Check's 4 seconds are too few on a busy machine; it is to name the case
	# that hangs before ctest ends the program.
	math(EXPR case_timeout "${timeout} * 3 / 4")
	set_tests_properties(${test} PROPERTIES
		LABELS "${rig};${layer};${ARGN}"
		TIMEOUT ${timeout}
		SKIP_RETURN_CODE 77
		ENVIRONMENT "${soak}UBSAN_OPTIONS=print_stacktrace=1;TSAN_OPTIONS=second_deadlock_stack=1:suppressions=${PROJECT_SOURCE_DIR}/tests/support/tsan.supp;CK_DEFAULT_TIMEOUT=${case_timeout}")
endfunction()

# "support/x.h", and what tests of several layers share: "memory/common.h".
add_library(vcore_test_headers INTERFACE)
target_include_directories(vcore_test_headers INTERFACE
	"${PROJECT_SOURCE_DIR}/tests")

# Each tests/support/<x>.c is a static library of its own, so that a broken
# one breaks only the tests that asked for it. Include it as "support/<x>.h".
# Linker options that its users need (--wrap) stand in tests/support/<x>.wrap.
function(vcore_test_support)
	file(GLOB files CONFIGURE_DEPENDS
		"${PROJECT_SOURCE_DIR}/tests/support/*.c")
	foreach(file IN LISTS files)
		cmake_path(GET file STEM LAST_ONLY x)
		add_library(vcore_support_${x} STATIC EXCLUDE_FROM_ALL ${file})
		target_link_libraries(vcore_support_${x} PRIVATE vcore_internal
			PkgConfig::CHECK vcore_test_headers)
		set(wrap "${PROJECT_SOURCE_DIR}/tests/support/${x}.wrap")
		if(EXISTS "${wrap}")
			target_link_options(vcore_support_${x} INTERFACE
				"@${wrap}")
		endif()
	endforeach()
endfunction()

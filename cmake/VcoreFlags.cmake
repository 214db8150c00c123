# SPDX-License-Identifier: BSD-3-Clause
# Compiler and linker flags of everything we build, in two interface targets:
# vcore_flags (all code) and vcore_internal (code that sees lib/ as well).

option(VCORE_WERROR "Warnings are errors, and a missing source file too" OFF)
option(VCORE_COVERAGE "Instrument for coverage" OFF)
option(VCORE_FUZZ "Build tests/fuzz for libFuzzer (clang)" OFF)
set(VCORE_SANITIZE "" CACHE STRING
	"Sanitizers: address,undefined or thread or memory")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
	set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_INCLUDE_CURRENT_DIR OFF)

# The name of the arch/ folders: write arch/${VCORE_ARCH}/x.c in SOURCES.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
	set(VCORE_ARCH x86_64)
else()
	set(VCORE_ARCH "${CMAKE_SYSTEM_PROCESSOR}")
endif()

set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(vcore_flags INTERFACE)
target_compile_definitions(vcore_flags INTERFACE _GNU_SOURCE)
target_compile_options(vcore_flags INTERFACE
	$<$<COMPILE_LANGUAGE:C>:-Wall;-Wextra;-Wconversion;-Wshadow;-Wvla>
	-g)
target_link_libraries(vcore_flags INTERFACE Threads::Threads)

if(VCORE_WERROR)
	target_compile_options(vcore_flags INTERFACE -Werror)
endif()
if(NOT VCORE_COVERAGE)
	# Reproducible: no object names a path of this machine. (gcov needs them.)
	target_compile_options(vcore_flags INTERFACE
		"-ffile-prefix-map=${PROJECT_SOURCE_DIR}=."
		"-ffile-prefix-map=${PROJECT_BINARY_DIR}=build")
endif()
if(VCORE_COVERAGE)
	# atomic: counts of threads are not lost, nor turn negative.
	target_compile_options(vcore_flags INTERFACE --coverage
		-fprofile-update=atomic)
	target_link_options(vcore_flags INTERFACE --coverage)
endif()

set(_san "${VCORE_SANITIZE}")
if(VCORE_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
		message(FATAL_ERROR "VCORE_FUZZ needs clang (CC=clang)")
	endif()
	if(_san STREQUAL "")
		set(_san "address,undefined")
	endif()
	target_compile_options(vcore_flags INTERFACE
		-fsanitize=fuzzer-no-link)
endif()
if(NOT _san STREQUAL "")
	target_compile_options(vcore_flags INTERFACE "-fsanitize=${_san}"
		-fno-omit-frame-pointer)
	target_link_options(vcore_flags INTERFACE "-fsanitize=${_san}")
	if(_san MATCHES memory)
		target_compile_options(vcore_flags INTERFACE
			-fsanitize-memory-track-origins=2)
	endif()
	if(_san MATCHES undefined)
		target_compile_options(vcore_flags INTERFACE
			-fno-sanitize-recover=undefined)
	endif()
endif()

# Instrumented code is not what we ship: the ABI and install gates skip it.
if(_san STREQUAL "" AND NOT VCORE_COVERAGE)
	set(VCORE_INSTRUMENTED OFF)
else()
	set(VCORE_INSTRUMENTED ON)
endif()

add_library(vcore_internal INTERFACE)
target_include_directories(vcore_internal INTERFACE
	"${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/lib")
target_link_libraries(vcore_internal INTERFACE vcore_flags)

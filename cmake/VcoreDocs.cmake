# SPDX-License-Identifier: BSD-3-Clause
# The Doxyfile, and target docs: the reference as HTML in docs/html.

include_guard(GLOBAL)
set(VCORE_DOXYFILE "${PROJECT_BINARY_DIR}/Doxyfile")
set(VCORE_DOXYGEN_PARTS "")
file(GLOB _dirs "${PROJECT_SOURCE_DIR}/optional/*/include")
foreach(_dir IN LISTS _dirs)
	string(APPEND VCORE_DOXYGEN_PARTS "INPUT += \"${_dir}\"\n")
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/docs/Doxyfile.in" "${VCORE_DOXYFILE}"
	@ONLY)
if(VCORE_BUILD_DOCS)
	find_package(Doxygen REQUIRED)
	add_custom_target(docs COMMAND Doxygen::doxygen "${VCORE_DOXYFILE}"
		WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" VERBATIM)
endif()

# SPDX-License-Identifier: BSD-3-Clause
# What doxygen sees of a header: inside a struct or enum a plain comment
# documents the member before it on its line, or the one below it; a comment
# behind a macro documents that; members that mean the same everywhere document
# themselves. Functions, structs and files need a comment that begins with two
# stars.
s#^\([[:space:]].*[;,[:alnum:])][[:space:]]*\)/\* #\1/**< #
s#^\([[:space:]]\{1,\}\)/\*\($\| \)#\1/**\2#
s@^\([[:space:]]*#define .*[^[:space:]][[:space:]]\{1,\}\)/\* @\1/**< @
s#^\(\tuint32_t size;\)$#\1 /**< Bytes of the struct, set by VCORE_INIT(). */#
s#^\(\tuint32_t flags;\)$#\1 /**< None defined: zero. */#
s#^\(\tu\?int[0-9]*_t reserved[][0-9]*;\)$#\1 /**< Zero. */#

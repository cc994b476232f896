# SPDX-License-Identifier: Apache-2.0
# Warnings, hardening and sanitizers, attached to every target of ours through one INTERFACE target.
add_library(ketcd_flags INTERFACE)
target_compile_definitions(ketcd_flags INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64)
target_compile_options(ketcd_flags INTERFACE -Wall -Wextra -Wshadow -Wvla -Wswitch-enum -Wformat=2 -Wundef
    -Wpointer-arith -Wwrite-strings $<$<COMPILE_LANGUAGE:C>:-Wconversion;-Wstrict-prototypes;-Wmissing-prototypes>
    -fno-strict-aliasing -fno-common -fvisibility=hidden)
if(KETCD_WERROR)
    target_compile_options(ketcd_flags INTERFACE -Werror)
endif()
if(KETCD_SANITIZE)
    # Exported to everything in the tree, generated code included: a sanitizer sees only what it instruments.
    add_compile_options(-fsanitize=${KETCD_SANITIZE} -fno-omit-frame-pointer)
    add_link_options(-fsanitize=${KETCD_SANITIZE})
    if(KETCD_SANITIZE MATCHES "undefined")
        add_compile_options(-fno-sanitize-recover=undefined)
        if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
            # Beside the shared library of the address sanitizer that of this one ignores log_path.
            add_link_options(-static-libubsan)
        endif()
    endif()
else()
    target_compile_options(ketcd_flags INTERFACE -fstack-protector-strong
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>)
    target_link_options(ketcd_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,--as-needed)
endif()
if(KETCD_FUZZ)
    add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(KETCD_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()

# SPDX-License-Identifier: Apache-2.0
# Where Debian's users expect things, for cmake --install and for the package. Binaries that are not
# configured in this build are left out.
if(CMAKE_INSTALL_PREFIX_INITIALIZED_TO_DEFAULT)
    set(CMAKE_INSTALL_PREFIX /usr CACHE PATH "Where to install" FORCE)
endif()
find_program(GZIP_PROGRAM gzip REQUIRED)

set(packed)
# pack(FILE PAGE FOLDER): installs FILE below share/, compressed as Debian wants it, as PAGE.gz.
function(pack file page folder)
    set(out ${CMAKE_BINARY_DIR}/packed/${page}.gz)
    add_custom_command(OUTPUT ${out} DEPENDS ${CMAKE_SOURCE_DIR}/${file} VERBATIM
        COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/packed
        COMMAND sh -c "exec \"$0\" -9nc \"$1\" >\"$2\""
            ${GZIP_PROGRAM} ${CMAKE_SOURCE_DIR}/${file} ${out})
    install(FILES ${out} DESTINATION share/${folder})
    set(packed ${packed} ${out} PARENT_SCOPE)
endfunction()

foreach(program etcd etcdctl etcdutl etcd-pki)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION bin)
        pack(deploy/man/${program}.1 ${program}.1 man/man1)
    endif()
endforeach()
pack(deploy/debian/changelog changelog doc/ketcd)
add_custom_target(packed_files ALL DEPENDS ${packed})

install(FILES deploy/debian/copyright README.md DESTINATION share/doc/ketcd)
if(TARGET etcd)
    install(FILES systemd/etcd.service DESTINATION /lib/systemd/system)
    # A file of the administrator's: never replaced here (dpkg asks, as it is a conffile).
    install(CODE "
        if(NOT EXISTS \"\$ENV{DESTDIR}/etc/default/etcd\")
            file(INSTALL DESTINATION /etc/default TYPE FILE RENAME etcd
                FILES \"${CMAKE_SOURCE_DIR}/systemd/etcd.default\")
        endif()")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME ketcd)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "ketcd maintainers <maintainers@ketcd.example.org>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "etcd for Kubernetes, written in C")
set(CPACK_PACKAGE_DESCRIPTION "A key-value store with the API, flags, formats and names of etcd for the
store behind a kube-apiserver: the member (etcd), its client (etcdctl), tools
on a data directory (etcdutl) and a tool for certificates (etcd-pki).")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_PACKAGE_PROVIDES "etcd-server, etcd-client")
set(CPACK_DEBIAN_PACKAGE_CONFLICTS "etcd-server, etcd-client")
set(CPACK_DEBIAN_PACKAGE_REPLACES "etcd-server, etcd-client")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/deploy/debian/postinst
    ${CMAKE_SOURCE_DIR}/deploy/debian/prerm ${CMAKE_SOURCE_DIR}/deploy/debian/postrm
    ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles)
if(NOT TARGET etcd)
    unset(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA)
endif()
include(CPack)

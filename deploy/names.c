/* Even a static glibc loads the NSS modules named in the machine's /etc/nsswitch.conf (such as systemd's "myhostname"
 * and "resolve"). They are shared libraries linked to the machine's glibc; if that is another version, the process
 * may abort. This restricts name look-ups to /etc/hosts and DNS, which are built into glibc. deploy/build links this
 * file into the program. */

#include <nss.h>

__attribute__((constructor)) static void ask_files_and_dns(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}

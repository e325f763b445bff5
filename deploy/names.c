/* A static glibc still loads what the machine's /etc/nsswitch.conf names ("myhostname", "resolve" of systemd), as shared
 * libraries that are linked to the machine's own C library. Where that is another version than ours, the process may
 * abort. So it never comes to that: names come from /etc/hosts and from DNS, which glibc has inside. deploy/build links
 * this into the program. */

#include <nss.h>

__attribute__((constructor)) static void ask_files_and_dns(void) {
    __nss_configure_lookup("hosts", "files dns");
    __nss_configure_lookup("passwd", "files");
}

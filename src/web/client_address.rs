//! The client's IP address, also behind reverse proxies.

use std::net::IpAddr;

use actix_web::HttpRequest;

/// The peer address of the connection, or, behind `proxies` trusted proxies, the X-Forwarded-For entry that the
/// outermost of them wrote. Each proxy appends the address it saw, so entries are counted from the right; those further
/// left come from the client and are not trusted.
pub fn client_address(req: &HttpRequest, proxies: usize) -> Option<IpAddr> {
    let peer = req.peer_addr().map(|addr| addr.ip());
    if proxies == 0 {
        return peer;
    }
    let headers = req.headers().get_all("x-forwarded-for");
    let hops: Vec<&str> =
        headers.filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(',')).collect();
    // Fewer entries than proxies: the request bypassed a proxy, and the leftmost entry is the best guess.
    let hop = hops.len().checked_sub(proxies).map_or_else(|| hops.first(), |at| hops.get(at));
    hop.and_then(|hop| hop.trim().parse().ok()).or(peer)
}

/// The network that rate limits count as one visitor: an IPv4 address, or an IPv6 /64, within which a machine can
/// choose its address freely (RFC 6177).
pub fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn seen(forwarded: &[&str], proxies: usize) -> String {
        let mut req = TestRequest::default().peer_addr("10.0.0.9:1234".parse().unwrap());
        for value in forwarded {
            req = req.append_header(("x-forwarded-for", *value));
        }
        client_address(&req.to_http_request(), proxies).unwrap().to_string()
    }

    #[test]
    fn counts_from_the_right() {
        assert_eq!(seen(&["1.1.1.1"], 0), "10.0.0.9");
        assert_eq!(seen(&["6.6.6.6, 1.1.1.1"], 1), "1.1.1.1");
        assert_eq!(seen(&["6.6.6.6, 1.1.1.1, 10.0.0.2"], 2), "1.1.1.1");
        assert_eq!(seen(&["6.6.6.6", "1.1.1.1, 10.0.0.2"], 2), "1.1.1.1");
        assert_eq!(seen(&["2001:db8::1"], 1), "2001:db8::1");
        assert_eq!(seen(&["1.1.1.1"], 2), "1.1.1.1");
        assert_eq!(seen(&["nonsense"], 1), "10.0.0.9");
        assert_eq!(seen(&[], 1), "10.0.0.9");
    }

    #[test]
    fn a_network_is_one_visitor() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("1.2.3.4"), "1.2.3.4");
        assert_eq!(network("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(network("2001:db8:0:7:1::1"), "2001:db8:0:7::/64");
        assert_eq!(network("2001:db8:0:7:ffff::2"), network("2001:db8:0:7::1"));
        assert_ne!(network("2001:db8:0:8::1"), network("2001:db8:0:7::1"));
    }
}

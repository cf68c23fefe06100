//! Addresses as text.

use std::net::IpAddr;

/// As the address writes itself. Every connection and every span needs it, so IPv4 goes without the machinery of formats.
pub fn text_of(address: IpAddr) -> String {
    let IpAddr::V4(address) = address else {
        return address.to_string();
    };
    let mut text = String::with_capacity("255.255.255.255".len());
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        text.push_str(itoa::Buffer::new().format(octet));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::text_of;

    #[test]
    fn addresses_as_text() {
        for text in ["0.0.0.0", "127.0.0.1", "10.9.100.99", "255.255.255.255", "::1", "2001:db8::a"] {
            assert_eq!(text_of(text.parse().expect("an address")), text);
        }
    }
}

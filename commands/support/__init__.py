"""What commands share: options, sessions, output. No command stands here."""

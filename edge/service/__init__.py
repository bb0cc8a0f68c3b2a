"""Running unattended: the systemd unit, its notifications, and the doctor."""

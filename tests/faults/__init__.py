"""What happens when something breaks: the process, the disk, the database."""

"""What a skilled user would write without glo: the measure of its speed."""

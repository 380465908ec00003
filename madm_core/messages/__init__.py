"""ROS messages read and written without ROS."""

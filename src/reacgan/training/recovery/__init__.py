"""What a run does about a step that is not finite: rewind, repeat carefully, name the operation."""

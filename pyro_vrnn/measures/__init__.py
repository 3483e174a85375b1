"""What can be measured of sound and ink, real or made: functions of arrays, one number a sample. Knows no model."""

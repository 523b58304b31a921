package normalise

var AppendProcessActivity = appendProcessActivity

package plain

func inside() int { return 1 }

func outside() int { return 2 }

func nowhere() int { return 3 }

var _ = nowhere

def doubled(number):
    return number * 2

/* The resolution of a calorimeter, per cent: reads a, b and energies, writes sqrt(a^2/E + b^2). */
#include <math.h>
#include <stdio.h>

int main(void) {
    double a, b, energy;
    if (scanf("%lf %lf", &a, &b) != 2) return 1;
    while (scanf("%lf", &energy) == 1) printf("%.17g\n", 100 * sqrt(a * a / energy + b * b));
    return 0;
}

/* The arithmetic of the extended Kalman filter of kernels/extended.py for free fall, in plain C: the yardstick that
   `copfuse bench filters` compiles with the machine's own compiler and calls on a whole series of plots.  The same
   formulas in the same order; see there for what they are. */
#include <math.h>

#define D 6

static const double MU = 3.986004418e14, EARTH_A = 6378137.0, OMEGA = 7.292115e-5, J2 = 1.08262982e-3, ZENITH = 1e-6;
static const double PI = 3.14159265358979323846, NEAREST = 1e-3, ROUNDING = 4e-15;

static void free_fall(const double *s, double *a, double G[3][3]) {
  double x = s[0], y = s[1], z = s[2];
  double r2 = x * x + y * y + z * z;
  double g = -MU / (r2 * sqrt(r2));
  double k = 1.5 * J2 * EARTH_A * EARTH_A / r2;
  double q = 5.0 * z * z / r2;
  double spin = OMEGA * OMEGA;
  double level = g * (1.0 + k * (1.0 - q)), polar = g * (1.0 + k * (3.0 - q));
  a[0] = level * x + spin * x + 2.0 * OMEGA * s[4];
  a[1] = level * y + spin * y - 2.0 * OMEGA * s[3];
  a[2] = polar * z;
  double d_level = g / r2 * (-3.0 - k * (5.0 - 7.0 * q)), d_polar = g / r2 * (-3.0 - k * (15.0 - 7.0 * q));
  G[0][0] = level + spin + x * x * d_level;
  G[1][1] = level + spin + y * y * d_level;
  G[2][2] = polar + z * z * (d_polar - 10.0 * g * k / r2);
  G[0][1] = G[1][0] = x * y * d_level;
  G[0][2] = G[2][0] = x * z * d_polar;
  G[1][2] = G[2][1] = y * z * d_polar;
}

static void column(double G[4][3][3], double h, double F[D][D], int c) {
  double w = 2.0 * OMEGA, sixth = h / 6.0, r[3], v[3], p[3], q[3], dr[3] = {0.0}, dv[3] = {0.0};
  for (int i = 0; i < 3; i++) {
    r[i] = p[i] = F[i][c];
    v[i] = q[i] = F[3 + i][c];
  }
  for (int k = 0; k < 4; k++) {
    double a[3], weight = k == 0 || k == 3 ? sixth : 2.0 * sixth, far = k == 2 ? h : 0.5 * h;
    for (int i = 0; i < 3; i++) a[i] = G[k][i][0] * p[0] + G[k][i][1] * p[1] + G[k][i][2] * p[2];
    a[0] += w * q[1];
    a[1] -= w * q[0];
    for (int i = 0; i < 3; i++) {
      dr[i] += weight * q[i];
      dv[i] += weight * a[i];
      p[i] = r[i] + far * q[i];
      q[i] = v[i] + far * a[i];
    }
  }
  for (int i = 0; i < 3; i++) {
    F[i][c] = r[i] + dr[i];
    F[3 + i][c] = v[i] + dv[i];
  }
}

static void move(double *s, double dt, double F[D][D]) {
  double G[4][3][3], k[4][D], y[D];
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++) F[i][j] = i == j ? 1.0 : 0.0;
  int steps = (int)ceil(fabs(dt) / 10.0);
  for (int n = 0; n < steps; n++) {
    double h = dt / steps;
    for (int i = 0; i < D; i++) y[i] = s[i];
    for (int stage = 0; stage < 4; stage++) {
      double far = stage == 2 ? h : 0.5 * h;
      free_fall(y, k[stage] + 3, G[stage]);
      for (int i = 0; i < 3; i++) k[stage][i] = y[3 + i];
      for (int i = 0; i < D; i++) y[i] = s[i] + far * k[stage][i];
    }
    for (int i = 0; i < D; i++) s[i] += h / 6.0 * (k[0][i] + 2.0 * k[1][i] + 2.0 * k[2][i] + k[3][i]);
    for (int c = 0; c < D; c++) column(G, h, F, c);
  }
}

static void carry(double F[D][D], double P[D][D]) {
  double M[D][D], before[D];
  for (int i = 0; i < D; i++) before[i] = P[i][i];
  for (int i = 0; i < D; i++)
    for (int j = 0; j < D; j++) {
      double t = F[i][0] * P[0][j];
      for (int k = 1; k < D; k++) t += F[i][k] * P[k][j];
      M[i][j] = t;
    }
  for (int i = 0; i < D; i++) {
    for (int j = 0; j <= i; j++) {
      double t = M[i][0] * F[j][0];
      for (int k = 1; k < D; k++) t += M[i][k] * F[j][k];
      P[i][j] = P[j][i] = t;
    }
    double lost = 0.0;
    for (int j = 0; j < D; j++) lost += F[i][j] * F[i][j] * before[j];
    P[i][i] += ROUNDING * lost;
  }
}

static int look(const double *s, const double *origin, const double *axes, double *z, double H[4][D]) {
  double d[3], e = 0.0, n = 0.0, u = 0.0;
  for (int i = 0; i < 3; i++) {
    d[i] = s[i] - origin[i];
    e += axes[i] * d[i];
    n += axes[3 + i] * d[i];
    u += axes[6 + i] * d[i];
  }
  double level2 = e * e + n * n, level = sqrt(level2), r = fmax(sqrt(level2 + u * u), NEAREST);
  for (int i = 0; i < 3; i++) H[0][i] = d[i] / r;
  double rate = H[0][0] * s[3] + H[0][1] * s[4] + H[0][2] * s[5];
  z[0] = r;
  z[1] = atan2(e, n);
  z[2] = atan2(u, level);
  z[3] = rate;
  double flat = fmax(level, ZENITH * r);
  for (int i = 0; i < 3; i++) {
    H[1][i] = (n * axes[i] - e * axes[3 + i]) / (flat * flat);
    H[2][i] = (axes[6 + i] - u / r * H[0][i]) / flat;
    H[3][i] = (s[3 + i] - rate * H[0][i]) / r;
    H[3][3 + i] = H[0][i];
  }
  return level > ZENITH * r;
}

static double absorb(int moving, const double *h, double variance, double *nu, double *dx, double P[D][D]) {
  double a[D], b[D], k[D];
  double blur = h[0] * h[0] * P[0][0] + h[1] * h[1] * P[1][1] + h[2] * h[2] * P[2][2];
  for (int j = 0; j < D; j++) a[j] = h[0] * P[0][j] + h[1] * P[1][j] + h[2] * P[2][j];
  if (moving) {
    blur += h[3] * h[3] * P[3][3] + h[4] * h[4] * P[4][4] + h[5] * h[5] * P[5][5];
    for (int j = 0; j < D; j++) a[j] += h[3] * P[3][j] + h[4] * P[4][j] + h[5] * P[5][j];
  }
  variance += 4.0 * ROUNDING * blur;
  double s = variance + h[0] * a[0] + h[1] * a[1] + h[2] * a[2];
  *nu -= h[0] * dx[0] + h[1] * dx[1] + h[2] * dx[2];
  if (moving) {
    s += h[3] * a[3] + h[4] * a[4] + h[5] * a[5];
    *nu -= h[3] * dx[3] + h[4] * dx[4] + h[5] * dx[5];
  }
  double over = 1.0 / s, lift = ROUNDING * (1.0 + sqrt(blur * over));
  for (int j = 0; j < D; j++) {
    k[j] = a[j] * over;
    double t = h[0] * (P[0][j] - k[j] * a[0]) + h[1] * (P[1][j] - k[j] * a[1]) + h[2] * (P[2][j] - k[j] * a[2]);
    if (moving) t += h[3] * (P[3][j] - k[j] * a[3]) + h[4] * (P[4][j] - k[j] * a[4]) + h[5] * (P[5][j] - k[j] * a[5]);
    b[j] = 0.5 * (variance * k[j] - t);
    dx[j] += k[j] * *nu;
  }
  for (int i = 0; i < D; i++) {
    double before = P[i][i];
    for (int j = 0; j < D; j++) P[i][j] += (b[i] * k[j] + k[i] * b[j]) - over * (a[i] * a[j]);
    P[i][i] += lift * before;
  }
  return s;
}

/* x (6) and P (6, 6) in place through n plots: dt (n), z and sigma (n, 4), origin (n, 3), axes (n, 3, 3); density is that of
   the acceleration's white noise.  xs (n, 6), Ps (n, 6, 6), loglik (n) and d2 (n) come out. */
void series(int n, double *x, double P[D][D], const double *dt, const double *z, const double *sigma, const double *origin,
            const double *axes, double density, double *xs, double *Ps, double *loglik, double *d2) {
  double F[D][D], H[4][D], seen[4];
  for (int t = 0; t < n; t++, z += 4, sigma += 4, origin += 3, axes += 9) {
    if (dt[t] != 0.0) {
      double h = fabs(dt[t]);
      move(x, dt[t], F);
      carry(F, P);
      for (int a = 0; a < 3; a++) {
        P[a][a] += density * h * h * h / 3.0;
        P[3 + a][3 + a] += density * h;
        P[a][3 + a] += density * h * h / 2.0;
        P[3 + a][a] += density * h * h / 2.0;
      }
    }
    double dx[D] = {0.0};
    int known = look(x, origin, axes, seen, H);
    loglik[t] = d2[t] = 0.0;
    for (int c = 0; c < 4; c++) {
      if (isnan(z[c]) || isnan(sigma[c]) || (c == 1 && !known)) continue;
      double nu = z[c] - seen[c];
      if (c == 1 || c == 2) nu -= 2.0 * PI * floor((nu + PI) / (2.0 * PI));
      double s = absorb(c == 3, H[c], sigma[c] * sigma[c], &nu, dx, P);
      d2[t] += nu * nu / s;
      loglik[t] -= 0.5 * (nu * nu / s + log(2.0 * PI * s));
    }
    for (int i = 0; i < D; i++) x[i] += dx[i];
    for (int i = 0; i < D; i++) {
      xs[D * t + i] = x[i];
      for (int j = 0; j < D; j++) Ps[D * D * t + D * i + j] = P[i][j];
    }
  }
}
